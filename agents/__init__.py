"""Search agents and the driver that runs them."""

from o1coder_gym.agents.ab_mcts import ab_mcts
from o1coder_gym.agents.beam import beam, diverse_beam
from o1coder_gym.agents.best_of_n import best_of_n, best_of_n_random
from o1coder_gym.agents.choosing import choosing
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Feed, Observer, Task, TaskResult
from o1coder_gym.agents.greedy import epsilon_greedy, greedy, random_steps
from o1coder_gym.agents.mcts import mcts, puct
from o1coder_gym.agents.registry import AGENTS, load_agent
from o1coder_gym.agents.search.tree import Node, Tree
from o1coder_gym.agents.self_repair import self_repair

__all__ = [
    "AGENTS",
    "Driver",
    "Feed",
    "Node",
    "Observer",
    "Task",
    "TaskResult",
    "Tree",
    "ab_mcts",
    "beam",
    "best_of_n",
    "best_of_n_random",
    "choosing",
    "diverse_beam",
    "epsilon_greedy",
    "greedy",
    "load_agent",
    "mcts",
    "puct",
    "random_steps",
    "self_repair",
]
