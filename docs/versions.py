"""Builds the pages of every released version and of the working tree, with a menu that leads between them.

    python docs/versions.py [--out build/docs]

A version is a git tag ``v1.2.3``; the working tree is ``latest``. Each gets a folder below ``--out``, and
``index.html`` there leads to the newest version, or to ``latest`` where none is released. Pages of a version
that are there already are not built again. Versions without ``docs/conf.py`` are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LATEST = "latest"
VARIABLE = "O1CODER_DOC_VERSIONS"
"""Tells ``conf.py`` of the menu: JSON with ``current`` and all ``names``."""


def releases(tags: Sequence[str]) -> list[str]:
    """Returns the tags that name a version, the newest first."""
    found = [tag for tag in tags if re.fullmatch(r"v\d+(\.\d+)*", tag)]
    return sorted(found, key=lambda tag: [*map(int, tag[1:].split("."))], reverse=True)


def git(*words: str) -> str:
    """Calls git in this repository; returns what it prints."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def build(tree: Path, name: str, names: Sequence[str], out: Path) -> None:
    """Builds the pages of a tree; the API is that of the package in the tree."""
    menu = json.dumps({"current": name, "names": names})
    environment = {**os.environ, "PYTHONPATH": str(tree), VARIABLE: menu}
    command = [sys.executable, "-m", "sphinx", "--quiet", "--keep-going", str(tree / "docs"), str(out / name)]
    subprocess.run(command, cwd=tree, env=environment, check=True)


def build_release(tag: str, names: Sequence[str], out: Path) -> None:
    """Builds the pages of a tag from a tree of its own."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as archive:
        subprocess.run(["git", "archive", tag], cwd=ROOT, check=True, stdout=archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as files:
            files.extractall(folder, filter="data")
        build(Path(folder), tag, names, out)


def write_entry(newest: str, out: Path) -> None:
    """Writes the page that leads to the newest version."""
    lead = f'<meta http-equiv="refresh" content="0; url={newest}/index.html">'
    page = f"<!doctype html>{lead}<title>{newest}</title>\n"
    (out / "index.html").write_text(page)


def main() -> None:
    """Builds what is missing, and the working tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs")
    out: Path = parser.parse_args().out.absolute()
    tags = [tag for tag in releases(git("tag").split()) if git("ls-tree", "--name-only", tag, "docs/conf.py")]
    names = [*tags, LATEST]
    out.mkdir(parents=True, exist_ok=True)
    for tag in tags:
        if not (out / tag / "index.html").exists():
            build_release(tag, names, out)
    build(ROOT, LATEST, names, out)
    write_entry(names[0], out)
    print(out / "index.html")


if __name__ == "__main__":
    main()
