"""Trainings: SFT and DPO on conversations, and what those of RL and of the PRM share with them."""
