"""Everything this project raises on purpose. One root, a sentence each, one-line messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_RENAMED = {"CalledOff": "Cancelled"}
"""Earlier name -> name of today."""


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from warnings import warn  # here, for every program imports this module

    warn(f"{name} is called {_RENAMED[name]} now", DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]


LISTED = 12
"""Names that a message lists at most where there may be thousands: tasks, for instance."""


class O1CoderError(Exception):
    """Root of the project's errors; the command line prints its message and exits with 1."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the message: Python would call a subclass with it that has parameters of its own."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[O1CoderError], arguments: tuple[Any, ...], state: Mapping[str, Any]) -> O1CoderError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class UsageError(O1CoderError):
    """Raised when an argument or option makes no sense; the command line exits with 2."""


class UnknownNameError(UsageError):
    """Raised when a name is not registered; the message has the nearest name, then all that are."""

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str] = (),
        *,
        where: str = "",
        most: int | None = None,
        advice: str = "",
    ) -> None:
        """Says what is unknown.

        Args:
            kind: What the name should name: "agent".
            name: The name asked for.
            known: The names known; the nearest is suggested.
            where: How the message starts.
            most: Names listed at most; None lists all.
            advice: How the message ends: what else to try.
        """
        from difflib import get_close_matches  # here, for every program imports this module

        names = sorted(known)
        nearest = get_close_matches(name, names, n=1)
        guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
        listed = f"{' K' if guess else '; k'}nown: {first_of(names, most)}" if names else ""
        told = f"; {advice}" if advice else ""
        super().__init__(f"{where}unknown {kind} {name!r}{guess}{listed}{told}")


def first_of(names: Sequence[str], most: int | None) -> str:
    """Returns names with commas between, at most so many; an ellipsis stands for the others."""
    cut = most is not None and len(names) > most
    return ", ".join([*names[:most], "…"] if cut else names)


def unreadable(path: object, error: Exception) -> str:
    """Returns what a message says of a file that could not be read: its path and the reason, on one line."""
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{path}: cannot be read: {' '.join(reason.split())}"


class PluginError(O1CoderError):
    """Raised when an object that another package registers cannot be used; names both."""


class MissingExtraError(O1CoderError):
    """Raised when an optional dependency cannot be imported; the message says what to install."""

    def __init__(self, package: str, extra: str, failure: ImportError | None = None) -> None:
        """Args: the import that failed, the extra of this project that brings it, how it failed if it did."""
        # What is installed may refuse the version of another package.
        missing = failure is None or isinstance(failure, ModuleNotFoundError)
        told = "is not installed" if missing else f"cannot be imported ({failure})"
        super().__init__(f"{package} {told}; run: pip install 'o1coder-gym[{extra}]'")


def require(extra: str, *packages: str) -> None:
    """Raises `MissingExtraError` for the first package of an extra that is not installed, importing none."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)


class ProblemFileError(O1CoderError):
    """Raised when a problem file cannot be read; names file, line and field."""


class RowError(O1CoderError):
    """Raised when training data cannot be read; names file, line and field."""


class WeightsError(O1CoderError):
    """Raised when model weights cannot be found, fetched or verified."""


class PolicyError(O1CoderError):
    """Raised when a policy's backend fails or breaks its contract."""


class PromptTooLongError(PolicyError):
    """Raised when a prompt does not fit the context of a policy's model; other requests are not affected."""


class ScorerError(O1CoderError):
    """Raised when a step scorer returns something that is not a number in [0, 1]."""


class SandboxError(O1CoderError):
    """Raised when the sandbox cannot give a required guarantee."""


class InfrastructureError(O1CoderError):
    """Raised when the judge itself failed, again after a retry; never a verdict on a program."""


class BudgetExhausted(O1CoderError):
    """Thrown into an agent when its budget cannot pay for its requests."""


class Cancelled(O1CoderError):
    """Raised when a task was cancelled because nobody waits for it any more."""


class JournalError(O1CoderError):
    """Raised when a run folder cannot be written, or does not belong to the run resumed."""


class ConformanceError(O1CoderError):
    """Raised when an object breaks its contract; names the first broken clause."""
