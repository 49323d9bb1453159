"""The conformance kit: checks an environment, policy, scorer or agent of yours against its contract.

    from o1coder_gym.envs import conformance
    conformance.check_environment(lambda: gymnasium.make("O1Coder/Starter-v0"))
    conformance.check_policy(policy, problems)
    conformance.check_scorer(scorer, problems)
    conformance.check_agent(agent, model, policy, task_ids=["starter/001-vowel-words"])

Each raises `ConformanceError`, which names the first clause of `CLAUSES` that does not hold; if all hold,
`check_agent` returns an `AgentReport` and the others None. Pass ``hidden=``, texts of tests or solutions that
the object must not know, to have everything searched that can be reached from it.
"""

from o1coder_gym.envs.conformance.agents import check_agent
from o1coder_gym.envs.conformance.backends import check_policy, check_scorer
from o1coder_gym.envs.conformance.clauses import CLAUSES, find_text
from o1coder_gym.envs.conformance.environments import check_environment

__all__ = ["CLAUSES", "check_agent", "check_environment", "check_policy", "check_scorer", "find_text"]
