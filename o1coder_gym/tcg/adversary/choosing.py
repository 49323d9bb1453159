"""Chooses among many programs by their behaviour: pure functions over an attack. S programs.

Scores are those of `tcg.checking.selection` in form: [S] numbers, the best one highest; programs that are
noisy score below all others.
"""

from __future__ import annotations

from collections.abc import Sequence

from o1coder_gym.tcg.adversary.attack import Attack
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, UNTOLD
from o1coder_gym.tcg.adversary.oracle import Ruling


def by_class(found: Attack) -> list[float]:
    """Scores by the weight of a program's class: the largest class is most probably right.

    Programs whose results cannot be told apart are together in a class, but nobody knows that they agree:
    each of them stands for itself.
    """
    scores = [-1.0] * len(found.weights)
    classes = found.partition
    columns = [found.columns[place] for place in found.parting]
    for members, weight in zip(classes.classes, classes.weights, strict=True):
        untold = any(names[members[0]] == UNTOLD for names in columns)
        for program in members:
            scores[program] = found.weights[program] if untold else weight
    return scores


def by_rulings(found: Attack, ruled: Sequence[Ruling]) -> list[float]:
    """Scores by a program's mean standing: the votes behind the rulings that it agrees with.

    It is the risk of a program under the other samples (minimum Bayes risk, Shi et al. 2022), with properties
    and a model's answers among the votes: on each input a program stands as high as its output, so that one
    which the majority contradicts on a single input loses little, and one that nobody agrees with all. Inputs
    on which its result cannot be told say nothing about it.
    """
    columns = [found.columns[place] for place in found.parting]
    scores = []
    for program in range(len(found.weights)):
        if program in found.noisy:
            scores.append(-1.0)
            continue
        standings = [
            one.votes.get(names[program], 0.0) / max(sum(one.votes.values()), 1e-9)
            for one, names in zip(ruled, columns, strict=True)
            if one.answered and names[program] not in (NOT_RUN, UNTOLD)
        ]
        scores.append(sum(standings) / len(standings) if standings else 0.0)
    return scores
