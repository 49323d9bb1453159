"""Reinforcement learning on a policy's weights: episodes, advantages, GRPO, DPO, and PPO on choices."""
