"""Our task for Inspect: the hidden tests decide."""

from audits.programs import StarterAudit
from falsepass.inspect_support import InspectScorer
from falsepass.model import Example

from o1coder_gym.adapters.inspect_ai import o1coder


class InspectAudit(StarterAudit):
    """Scored by the task's own scorer, after its own solver."""

    name = "o1coder-inspect"

    def load(self, n: int, seed: int) -> tuple[InspectScorer, list[Example]]:
        """Returns the task's scorer, and problems."""
        task = o1coder("starter")
        return InspectScorer(task), self.sample({sample.id: sample for sample in task.dataset}, n, seed)


ADAPTER = InspectAudit()
