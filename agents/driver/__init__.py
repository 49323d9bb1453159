"""The driver: runs searches, one or thousands, and answers, meters, records and replays their queries."""

from o1coder_gym.agents.driver.driver import ANSWERS, Driver
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.sweep import Replay, answer_within
from o1coder_gym.agents.driver.tasks import Feed, Observer, Task, TaskResult

__all__ = [
    "ANSWERS",
    "Driver",
    "Feed",
    "Observer",
    "Recorder",
    "Recording",
    "Replay",
    "Task",
    "TaskResult",
    "answer_within",
]
