"""One live agent: its generator, its budget meter and its current turn. No threads.

A turn is the list of queries that the agent yielded. It is served in waves: a wave is all that the
budget can pay for at its worst-case price; when the wave has returned and is settled at its true
price, the next wave requests what is still missing. So the answers of an agent depend on its budget
and on the backends alone, never on the timing of batches.

A sample that was cut because the budget granted it fewer tokens than requested says nothing about the
policy: it is settled, recorded and shown to the observer as ``finish="budget"``, but no agent gets it, so
that none can have it judged. Samples with which a server that ignores ``max_tokens``, or a prompt that
nobody had counted before, overdrew the budget are paid for and withheld too, and the search ends.

Every search ends: the budget is finite, and a search that pays nothing for `UNPAID_TURNS` turns in a row
gets `BudgetExhausted`.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from o1coder_gym.agents.driver.guards import Payload, check_queries, check_result
from o1coder_gym.agents.driver.lanes import Request
from o1coder_gym.agents.driver.prompts import Prompts
from o1coder_gym.agents.driver.replies import name_of, read_answer, write_answer
from o1coder_gym.agents.driver.tasks import Observer, Task, TaskResult
from o1coder_gym.errors import BudgetExhausted, ConformanceError, JournalError, O1CoderError
from o1coder_gym.runs.budget import UNKNOWN_SIZES, Grant, Meter, ModelSizes
from o1coder_gym.runs.seeds import derive_seed, derive_stream
from o1coder_gym.specs.own_code import last_frame
from o1coder_gym.types import PolicyRequest, Problem, Proposal, SearchResult, State, Transition
from o1coder_gym.types.queries import Advance, Answer, Ask, Execute, Executed, Propose, Query, Score, Search

UNPAID_TURNS = 1000
"""Turns in a row that may cost nothing of what the budget limits (unlimited: no token, no program)."""

_RUN_OTHERS = (Path(__file__).parent, Path(__file__).parents[1] / "choosing")
"""Folders of code that runs an agent, or wraps one."""


@dataclass(slots=True)
class _Slot:
    """A query of the turn and its answer so far, samples that the budget cut included."""

    query: Query
    samples: list[Proposal] = field(default_factory=list)
    answer: Transition | float | Executed | None = None

    @property
    def open(self) -> bool:
        """Whether the answer is incomplete."""
        if isinstance(self.query, Propose | Ask):
            return len(self.samples) < self.query.n
        return self.answer is None

    @property
    def whole(self) -> tuple[Proposal, ...]:
        """The samples that the budget left complete."""
        return tuple(sample for sample in self.samples if sample.finish != "budget")

    @property
    def served(self) -> bool:
        """Whether the agent receives anything for this query."""
        return self.answer is not None or bool(self.whole)


class Session:
    """A search in progress. Mutable; belongs to the driver's thread.

    Attributes:
        task: The task of this search.
        order: Position among the tasks of the run.
        outstanding: Requests of the current wave that have not returned.
        outcome: The task's result once the search has ended, else None.
        unwritten: Journal rows not yet appended; the driver drains them.
    """

    def __init__(
        self,
        task: Task,
        problem: Problem,
        root: State,
        *,
        order: int = 0,
        seed: int = 0,
        journaled: bool = False,
        recorded: Mapping[int, Mapping[str, Any]] | None = None,
        observer: Observer | None = None,
        sizes: ModelSizes = UNKNOWN_SIZES,
    ) -> None:
        """Starts the search up to its first turn.

        Args:
            task: The task to solve.
            problem: The problem it names.
            root: Where the search starts.
            order: Position among the tasks of the run.
            seed: Seed of the run.
            journaled: Whether to fill `unwritten`.
            recorded: Journal rows of this task by serial number.
            observer: Called for every answer.
            sizes: Of the models, for FLOPs.
        """
        self.task = task
        self.order = order
        self.outstanding = 0
        self.outcome: TaskResult | None = None
        self.unwritten: list[dict[str, Any]] = []
        self._problem = problem
        self._seed = seed if task.seed is None else task.seed
        self._journaled = journaled
        self._recorded = recorded or {}
        self._observer = observer
        self._meter = Meter(task.budget, sizes=sizes)
        self._counts: dict[State | str, int] = {}
        self._prompts = Prompts()
        self._landed: list[tuple[Request, Answer]] = []
        # Numbers the requests of this search; the key of their journal rows, so it must not depend on timing.
        self._serial = 0
        self._paid = 0
        self._unpaid_turns = 0
        self._expired = False
        self._exhausted = False
        self._error: O1CoderError | None = None
        self._turn: list[_Slot] = []
        self._search: Search | None = None
        # Up to the first turn, so that an agent that fails at once is an outcome like every other.
        self._resume(lambda: self._begin(root))

    def wave(self) -> list[Request]:
        """Returns the next requests to serve; empty only when the search has ended."""
        while self.outcome is None:
            if requests := self._reserve():
                self.outstanding = len(requests)
                return requests
            self._end_turn()
        return []

    def recorded(self, request: Request) -> bool:
        """Answers a request from the journal if it is there; returns whether it was.

        Raises:
            JournalError: When the journal's request of this number was another one.
        """
        row = self._recorded.get(request.serial)
        if row is None:
            return False
        # Serial numbers match rows of any search; the digest notices an agent that is not deterministic.
        if row["q"] != name_of(request.payload):
            raise JournalError(
                f"{self.task.key}: request {request.serial} is not the one in the journal; an agent has to "
                "depend on its answers and on its context alone"
            )
        # The recorded clock, so that a limit of seconds ends a resumed run where it ended the first one.
        self._meter.resume_at(row["s"])
        if "r" in row:
            self._meter.count_retry()
        self._book(request, read_answer(request.payload, row["a"]))
        return True

    def receive(self, request: Request, answer: Answer) -> None:
        """Charges a checked answer to the budget and records it.

        An answer that arrives after the session failed is still recorded, because it was paid for.
        """
        if self._journaled:
            self.unwritten.append(self._row(request, answer))
        self._book(request, answer)

    def fail(self, error: O1CoderError) -> None:
        """Ends the search with an error and the agent's best so far, unless it has ended."""
        if self.outcome is None:
            self._settle()
            self._error = error
            self._exhaust(f"{self.task.key}: a request failed: {error}")
            if self.outcome is None:
                self._abandon(error)

    def _row(self, request: Request, answer: Answer) -> dict[str, Any]:
        """Returns the journal row of an answer; its `q` identifies the request, to notice another search."""
        # `task` comes first: the journal's index reads keys at a fixed place of each line.
        row = {"task": self.task.key, "k": request.serial, "q": name_of(request.payload)}
        row |= {"s": round(self._meter.seconds, 3), "a": write_answer(answer)}
        if isinstance(request.payload, PolicyRequest):
            row["seed"] = request.payload.seed
        if request.alone:
            row["r"] = 1
        return row

    def retry(self, request: Request) -> None:
        """Marks a request to be sent again, in a batch of its own."""
        request.alone = True
        self._meter.count_retry()

    def _begin(self, root: State) -> Any:
        self._search = self.task.begin(self._problem, root, self._seed)
        return next(self._search)

    def _reserve(self) -> list[Request]:
        if self._meter.overdrawn:  # known only now: no answer of a wave is worth less for coming late
            self._take_back_the_overlong()
        # Read once per wave: half of a wave must not be granted by one reading and refused by the next.
        expired = self._time_is_over()
        requests = []
        for index, slot in enumerate(self._turn):
            # In order of the turn, so that a budget that pays for some queries pays for the first ones.
            if slot.open and (made := self._request(slot, expired)) is not None:
                made.slot = index
                requests.append(made)
        return requests

    def _request(self, slot: _Slot, expired: bool) -> Request | None:
        query = slot.query
        if expired:
            return None
        if isinstance(query, Score):
            reserved = self._meter.reserve_score()
            # Requests carry what the meter reserved: it is given back when the answer is booked, whatever
            # happened between.
            return None if reserved is None else self._issue((self._problem, query.state), grant=reserved)
        if isinstance(query, Advance):
            granted = self._meter.reserve_executions(1)
            return self._issue((query.state, query.action), grant=granted) if granted else None
        if isinstance(query, Execute):
            granted = self._meter.reserve_executions(1)
            return self._issue(query, grant=granted) if granted else None
        # Of samples the budget may grant fewer than asked: the next wave asks for the rest, if the rest is
        # paid.
        prompt = 0 if slot.samples else self._prompts.least  # paid once a query
        grant = self._meter.reserve_samples(query.n - len(slot.samples), query.sampling.max_tokens, prompt)
        if grant is None:
            return None
        payload = self._drawn(query, grant)
        return self._issue(payload, weight=grant.n * grant.max_tokens, grant=grant)

    def _drawn(self, query: Propose | Ask, grant: Grant) -> PolicyRequest:
        """Returns the request to the policy, reduced to what the budget can pay for."""
        task_id, sampling = self._problem.task_id, query.sampling
        if grant.max_tokens != sampling.max_tokens:
            sampling = replace(sampling, max_tokens=grant.max_tokens)
        # The n-th request in a state gets the n-th seed, whatever other tasks do: samples do not depend on
        # batching. Questions are counted by themselves, so that asking one leaves the steps as they are.
        place = query.question if isinstance(query, Ask) else query.state
        count = self._counts.get(place, 0)
        self._counts[place] = count + 1
        if isinstance(query, Ask):
            seed = derive_stream(self._seed, task_id, query.question, count)
            return PolicyRequest(self._problem, State(task_id), grant.n, sampling, seed, query.question)
        seed = derive_seed(self._seed, query.state, count)
        history = self._prompts.history(query.state)
        return PolicyRequest(self._problem, query.state, grant.n, sampling, seed, history=history)

    def _issue(self, payload: Payload, weight: int = 0, grant: Grant | int | None = None) -> Request:
        request = Request(self, payload, self.order, weight, serial=self._serial, grant=grant)
        self._serial += 1
        return request

    def _book(self, request: Request, answer: Answer) -> None:
        """Takes an answer; the wave is settled with its last one."""
        # Late answers to a session that has failed come here too, and are not counted.
        self.outstanding -= 1
        if self.outcome is not None:
            return
        self._landed.append((request, answer))
        if self.outstanding == 0:
            self._settle()

    def _settle(self) -> None:
        """Settles what has landed of a wave, and puts it into its slots."""
        # In order of the turn and not of arrival: what a prompt adds to those before it, and which samples
        # are paid, must not depend on timing.
        landed, self._landed = sorted(self._landed, key=lambda one: one[0].serial), []
        for request, answer in landed:
            self._charge(request, answer)

    def _charge(self, request: Request, answer: Answer) -> None:
        """Settles the reserved budget and puts the answer into its slot, as far as it is paid."""
        slot = self._turn[request.slot]
        query = slot.query
        if isinstance(query, Propose | Ask) and isinstance(answer, tuple):
            new, shown = (0, 0) if slot.samples else self._prompts.show(query, answer[0])
            self._meter.settle_samples(
                request.grant,
                sum(proposal.tokens for proposal in answer),
                len(answer),
                prompt_tokens=new,
                cached_tokens=shown,
            )
            # Extended, not set: a slot may be filled by several waves, as far as each was paid.
            slot.samples.extend(_paid(_marked(query, request.grant, answer), self._meter.owed))
            return
        # Reserved as one execution; a step without code did not need it, and gives it back.
        if isinstance(query, Advance) and isinstance(answer, Transition):
            self._meter.settle_executions(request.grant, int(answer.verdict is not None))
            answer = self._attributed(query, answer)
        if isinstance(query, Score):
            self._meter.settle_score(request.grant, getattr(answer, "tokens", 0))
            if self._meter.owed:  # longer than what was left: read, but not paid
                return
        if isinstance(query, Execute):
            self._meter.settle_executions(request.grant, 1)
        assert not isinstance(answer, tuple)  # `check_reply` lets none through
        slot.answer = answer

    def _take_back_the_overlong(self) -> None:
        """Marks samples of the turn that exceed the requested length as cut by the budget."""
        for slot in self._turn:
            if isinstance(slot.query, Propose | Ask):
                # By the agent's own limit, not the granted one: within it the sample is one the policy may
                # write.
                most = slot.query.sampling.max_tokens
                slot.samples = [
                    replace(sample, finish="budget") if sample.tokens > most else sample
                    for sample in slot.samples
                ]

    def _attributed(self, query: Advance, transition: Transition) -> Transition:
        """Sets author and finish of the step; a text that was never sampled is the agent's own."""
        sampled = self._prompts.sample(query.state, query.action)
        if sampled is None:
            return replace(transition, author="agent")
        return replace(transition, finish=sampled.finish)

    def _end_turn(self) -> None:
        """Sends the answers to the agent, or throws `BudgetExhausted` if the budget paid for none of them.

        A score that was not paid ends the search as well: it cannot be masked, for no number says so.
        """
        for slot in self._turn:
            self._prompts.remember(slot.query, _answer(slot))
        # An unpaid score ends the search by itself (`unscored`), so the turn is judged by what else it asks
        # for.
        paid = [slot for slot in self._turn if not isinstance(slot.query, Score)] or self._turn
        unscored = any(isinstance(slot.query, Score) and slot.answer is None for slot in self._turn)
        # Nothing of what costs was served: the next turn could not be either.
        if unscored or not any(slot.served for slot in paid):
            self._stop("the budget is overdrawn" if self._meter.overdrawn else "the budget is spent")
        elif self._idles():
            self._stop(f"nothing was drawn or judged in {UNPAID_TURNS} turns")
        else:
            self._observe(self._turn)
            answers = [_answer(slot) for slot in self._turn]
            search = self._search
            assert search is not None
            self._resume(lambda: search.send(answers))

    def _idles(self) -> bool:
        """Whether the search has made more than `UNPAID_TURNS` turns in a row that cost nothing."""
        # Counted in what the budget limits: an agent that only spends unlimited things would never end.
        if self._meter.paid > self._paid:
            self._paid, self._unpaid_turns = self._meter.paid, 0
        else:
            self._unpaid_turns += 1
        return self._unpaid_turns > UNPAID_TURNS

    def _stop(self, reason: str) -> None:
        """Throws `BudgetExhausted` into the agent; an agent that then asks again gets no result."""
        if self._exhausted:
            name = self.task.key
            self._abandon(ConformanceError(f"{name}: the agent went on after its budget was exhausted"))
            return
        # Set before the agent runs on: another query of its would come back here and must find the flag.
        self._exhausted = True
        self._observe([slot for slot in self._turn if slot.samples or slot.answer is not None])
        self._exhaust(f"{self.task.key}: {reason}")

    def _observe(self, slots: Sequence[_Slot]) -> None:
        """Calls the observer with each answer, and also with samples that the budget cut."""
        if self._observer is None:
            return
        # After settling and before the agent goes on: the observer sees what this turn has cost, and nothing
        # later.
        usage = self._meter.usage
        for slot in slots:
            answer = tuple(slot.samples) if isinstance(slot.query, Propose | Ask) else _answer(slot)
            self._observer(self.task, slot.query, answer, usage)

    def _exhaust(self, message: str) -> None:
        """Throws `BudgetExhausted` into the agent, which may return its best so far."""
        search = self._search
        assert search is not None
        self._resume(lambda: search.throw(BudgetExhausted(message)))

    def _abandon(self, error: O1CoderError) -> None:
        """Closes an agent that does not return; errors that it raises meanwhile are ignored."""
        if self._search is not None:
            try:
                self._search.close()
            except KeyboardInterrupt:
                raise
            except BaseException:
                pass
        self._finish(None, error)

    def _resume(self, step: Callable[[], Any]) -> None:
        """Runs the agent to its next turn or its end."""
        problem_id = self._problem.task_id
        try:
            self._turn = [_Slot(query) for query in check_queries(problem_id, step())]
        except StopIteration as end:
            try:
                self._finish(check_result(problem_id, end.value))
            except ConformanceError as error:
                self._finish(None, error)
        except BudgetExhausted:
            self._finish(None)
        except O1CoderError as error:
            self._abandon(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a foreign agent's failure, an exit too, ends its own task only
            self._finish(None, agent_failure(self.task, self._search, error))

    def _finish(self, result: SearchResult | None, error: O1CoderError | None = None) -> None:
        # A request's failure stays in the result although the agent has answered: its answer is one of a
        # broken search.
        error = error or self._error
        self.outcome = TaskResult(self.task, result, self._meter.usage, self._exhausted, error)

    def _time_is_over(self) -> bool:
        """Reads the clock, or the journal if it has an answer: resumed runs stop at the same turn."""
        if self._expired or self.task.budget.seconds is None:
            return self._expired
        row = self._recorded.get(self._serial)
        if row is not None:
            self._expired = row.get("expired", False)
        elif self._meter.expired:
            self._expired = True
            if self._journaled:
                seconds = round(self._meter.seconds, 3)
                self.unwritten.append(
                    {"task": self.task.key, "k": self._serial, "expired": True, "s": seconds}
                )
        # The expiry has a row of its own, so it takes a number of its own; later requests keep theirs.
        self._serial += self._expired
        return self._expired


def agent_failure(task: Task, search: Search | None, error: BaseException) -> O1CoderError:
    """Wraps what an agent of a user raised as an error of its task, with its file and line."""
    code = getattr(search, "gi_code", None)
    frame = last_frame(error, _agent_file(error) or code.co_filename) if code is not None else None
    where = f" ({Path(frame.filename).name}, line {frame.lineno})" if frame else ""
    failure = O1CoderError(f"{task.key}: the agent failed: {type(error).__name__}: {error}{where}")
    failure.__cause__ = error
    return failure


def _agent_file(error: BaseException) -> str | None:
    """Returns the first file that an error passed through, but for those that only run another's search."""
    files = (frame.filename for frame in traceback.extract_tb(error.__traceback__))
    return next((file for file in files if Path(file).parent not in _RUN_OTHERS), None)


def _marked(query: Propose | Ask, grant: Grant, answer: Sequence[Proposal]) -> list[Proposal]:
    """Marks the samples that the budget cut."""
    # Cut at the limit the agent asked for: a long sample of the policy, which it gets. Cut earlier: the
    # budget.
    granted_less = grant.max_tokens < query.sampling.max_tokens
    samples = []
    for proposal in answer:
        # None was drawn for a prompt that does not fit: no budget would have changed that.
        cut = proposal.finish == "length" and proposal.tokens > 0
        overdrawn = cut or proposal.tokens > grant.max_tokens
        samples.append(replace(proposal, finish="budget") if granted_less and overdrawn else proposal)
    return samples


def _paid(samples: Sequence[Proposal], owed: float) -> list[Proposal]:
    """Marks as cut the last samples, until their tokens cover what is owed."""
    kept = list(samples)
    for place in reversed(range(len(kept))):
        if owed <= 0:
            break
        owed -= kept[place].tokens
        kept[place] = replace(kept[place], finish="budget")
    return kept


def _answer(slot: _Slot) -> Answer:
    """Returns the agent's answer to a query; an `Advance` that the budget could not pay is masked."""
    if isinstance(slot.query, Propose | Ask):
        return slot.whole
    if slot.answer is None and isinstance(slot.query, Execute):
        return Executed(())
    if slot.answer is None:
        return Transition(slot.query.state, math.nan, False, True, "the budget is spent")
    return slot.answer
