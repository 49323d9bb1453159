"""Runs a folder of attacks through the judge and prints what became of each; a script of test_attacks.py.

    python attack_corpus.py PROJECT FOLDER LAYERS SKIPPED

It imports the sandbox alone, from a copy of the project, so that any interpreter and any user can run it.
"""

import json
import os
import re
import sys
import tempfile
import types
from pathlib import Path

CASES = [(1, 2), (0, 0), (-5, 5), (918273645, 564738291), (2.5, -1.25), (0.1, 0.2), (10**20, 1)]
HONEST = "def add(a, b):\n    return a + b\n"


def link_package(project):
    """Makes the sandbox importable without what the package itself imports."""
    for name, folder in (("o1coder_gym", project), ("o1coder_gym.sandbox", project / "sandbox")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def read_header(source):
    """The ``# key: value`` lines of an attack."""
    return dict(re.findall(r"^# ([a-z-]+): (.*)$", source, re.MULTILINE))


def processes():
    """Yields process id, parent and user ids of all processes."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        yield int(status.parent.name), int(fields["PPid"]), [*map(int, fields["Uid"].split())]


def users_of(zygotes):
    """User ids that zygotes have, and their inner halves."""
    found = (ids for pid, parent, ids in processes() if zygotes & {pid, parent})
    return {uid for ids in found for uid in ids}


def survivors(users, before):
    """Processes of these users that were not there before."""
    return [pid for pid, _, (uid, *_) in processes() if uid in users and pid not in before | {os.getpid()}]


def run(folder, layers, skipped):
    """Returns a row for each attack: what the header says, the outcomes, what was found afterwards."""
    from o1coder_gym.sandbox.confinement.blueprint import LAYERS
    from o1coder_gym.sandbox.judge import Judge
    from o1coder_gym.types import CallTest, Limits, Submission

    tests = tuple(CallTest(repr(list(case)), repr(sum(case))) for case in CASES)
    usual, short = Limits(cpu_s=0.6, wall_s=1.2), Limits(cpu_s=0.15, wall_s=0.4)
    before = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    users = set() if os.geteuid() == 0 else {os.geteuid()}
    rows = []
    with Judge(1, layers=layers) as judge:

        def outcome(source, limits=usual):
            (verdict,) = judge.evaluate([Submission(source, "add", tests, limits)])
            users.update(users_of(set(judge.pids)) - {0})
            return verdict.outcome.value

        judge.report()
        for path in sorted(folder.glob("*.py"), key=lambda path: int(path.name.partition("_")[0])):
            if path.stem in skipped:
                continue
            source = path.read_text()
            header = read_header(source)
            # What hangs is given up soon; what may time out has longer where all layers are in force.
            accepted = header["expect"] + ("" if layers == LAYERS else header.get("also-ok", ""))
            limits = short if "timeout" in accepted else usual
            outcomes = [outcome(source, limits) for _ in range(int(header.get("runs", 1)))]
            after = header.get("after", "")
            file = re.search(r"no-file (\S+)", after)
            rows.append(
                {
                    "name": path.stem,
                    "header": header,
                    "outcomes": outcomes,
                    "next": outcome(HONEST) if "next-candidate-ok" in after else "pass",
                    "file_left": bool(file and os.path.exists(file[1])),
                }
            )
    return {"rows": rows, "survivors": survivors(users, before)}


def main():
    """Plants the baits and prints the rows as JSON."""
    project, folder = Path(sys.argv[1]), Path(sys.argv[2])
    layers, skipped = (tuple(filter(None, names.split(","))) for names in sys.argv[3:5])
    link_package(project)
    os.environ["HF_TOKEN"] = "hf_bait"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as bait:
        json.dump([sum(case) for case in CASES], bait)
        bait.flush()
        os.chmod(bait.name, 0o644)
        print(json.dumps(run(folder, layers, skipped)))


if __name__ == "__main__":
    main()
