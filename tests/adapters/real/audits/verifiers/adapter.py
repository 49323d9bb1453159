"""Our taskset for verifiers, whose rewards are those of training: the public tests decide."""

from audits.programs import StarterAudit
from falsepass.model import Example
from falsepass.scorers import V1TaskScorer

from o1coder_gym.adapters.verifiers import O1CoderConfig
from o1coder_verifiers import O1CoderTaskset


class VerifiersAudit(StarterAudit):
    """Scored as verifiers does."""

    name = "o1coder-verifiers"

    def load(self, n: int, seed: int) -> tuple[V1TaskScorer, list[Example]]:
        """Returns verifiers' own way to score, and problems."""
        tasks = O1CoderTaskset(O1CoderConfig(id="o1coder-verifiers", problems="starter")).load()
        return V1TaskScorer(tasks[0]), self.sample({task.data.id: task for task in tasks}, n, seed)


ADAPTER = VerifiersAudit()
