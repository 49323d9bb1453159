"""What this project offers of each kind: dotted paths, imported when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "agent": {
        "greedy": "o1coder_gym.agents.greedy:greedy",
        "epsilon_greedy": "o1coder_gym.agents.greedy:epsilon_greedy",
        "random": "o1coder_gym.agents.greedy:random_steps",
        "best_of_n": "o1coder_gym.agents.best_of_n:best_of_n",
        "best_of_n_random": "o1coder_gym.agents.best_of_n:best_of_n_random",
        "beam": "o1coder_gym.agents.beam:beam",
        "diverse_beam": "o1coder_gym.agents.beam:diverse_beam",
        "mcts": "o1coder_gym.agents.mcts:mcts",
        "puct": "o1coder_gym.agents.mcts:puct",
        "ab_mcts": "o1coder_gym.agents.ab_mcts:ab_mcts",
        "self_repair": "o1coder_gym.agents.self_repair:self_repair",
    },
    "policy": {
        "fake": "o1coder_gym.policies.loading:fake",
        "hf": "o1coder_gym.policies.loading:hf",
        "openai": "o1coder_gym.policies.loading:openai",
        "scripted": "o1coder_gym.policies.loading:scripted",
        "vllm": "o1coder_gym.policies.loading:vllm",
    },
    "scorer": {
        "heuristic": "o1coder_gym.prm.heuristic:HeuristicScorer",
        "prm": "o1coder_gym.prm.loading:model_scorer",
    },
    "generator": {"mutation": "o1coder_gym.tcg.loading:mutation"},
    "schedule": {
        "constant": "o1coder_gym.rewards:constant",
        "linear": "o1coder_gym.rewards:linear",
        "logarithmic": "o1coder_gym.rewards:logarithmic",
    },
    "executor": {
        "serial": "o1coder_gym.runs.executors:serial",
        "processes": "o1coder_gym.runs.executors:processes",
        "ray": "o1coder_gym.runs.executors:ray",
    },
    "embedding": {"hash": "o1coder_gym.steps.choices:hashed_words"},
    "format": {
        "functions": "o1coder_gym.steps.formats.functions:FUNCTIONS",
        "pseudocode": "o1coder_gym.steps.formats:PSEUDOCODE",
        "vanilla": "o1coder_gym.steps.formats:VANILLA",
    },
    "problems": {
        "bigcodebench": "o1coder_gym.problems.formats.functions:BIGCODEBENCH",
        "mbpp+": "o1coder_gym.problems.benchmarks:MBPP_PLUS",
        "humaneval+": "o1coder_gym.problems.benchmarks:HUMANEVAL_PLUS",
        "humaneval": "o1coder_gym.problems.benchmarks:HUMANEVAL",
        "mbpp": "o1coder_gym.problems.benchmarks:MBPP",
        "humaneval-pro": "o1coder_gym.problems.formats.functions:PRO",
        "kodcode": "o1coder_gym.problems.formats.functions:KODCODE",
        "acecode": "o1coder_gym.problems.formats.functions:ACECODE",
        "leetcode": "o1coder_gym.problems.formats.leetcode:LEETCODE",
        "livecodebench": "o1coder_gym.problems.formats.livecodebench:LIVECODEBENCH",
        "livecodebench-verified": "o1coder_gym.problems.formats.livecodebench:LIVECODEBENCH_VERIFIED",
        "codecontests+": "o1coder_gym.problems.formats.contests:CODECONTESTS_PLUS",
        "codecontests-o": "o1coder_gym.problems.formats.contests:CODECONTESTS_O",
        "codecontests": "o1coder_gym.problems.formats.contests:CODECONTESTS",
        "codeforces": "o1coder_gym.problems.formats.contests:CODEFORCES",
        "taco": "o1coder_gym.problems.formats.apps:TACO",
        "apps": "o1coder_gym.problems.formats.apps:APPS",
        "prime-intellect": "o1coder_gym.problems.formats.verifiable:PRIME_INTELLECT",
        "deepcoder": "o1coder_gym.problems.formats.verifiable:DEEPCODER",
        "rstar": "o1coder_gym.problems.formats.verifiable:RSTAR",
        "verl": "o1coder_gym.problems.formats.training:VERL",
        "nemo-gym": "o1coder_gym.problems.formats.training:NEMO_GYM",
        "cruxeval": "o1coder_gym.problems.formats.predictions:CRUXEVAL",
        "cruxeval-input": "o1coder_gym.problems.formats.predictions:CRUXEVAL_INPUT",
        "native": "o1coder_gym.problems.formats.telling:NATIVE",
    },
}
