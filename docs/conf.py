"""Sphinx: Markdown pages by MyST, the API from docstrings; `make docs` takes a warning for an error."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import o1coder_gym

project = "o1coder-gym"
author = "The o1coder-gym developers"
release = version = o1coder_gym.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.mermaid",
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_fence_as_directive = {"mermaid"}  # diagrams are plain fences, as GitHub reads them
myst_heading_anchors = 3
nb_execution_mode = "off"  # they come with what they printed; `docs/notebooks.py` runs them anew
exclude_patterns = ["_build"]
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "o1coder-gym"
if "O1CODER_DOC_VERSIONS" in os.environ:  # docs/versions.py builds several
    html_context = {"versions": json.loads(os.environ["O1CODER_DOC_VERSIONS"])}
    templates_path = ["templates"]
    above = ("brand", "search", "scroll-start", "navigation")
    below = ("scroll-end", "variant-selector")
    above, below = ([f"sidebar/{part}.html" for part in parts] for parts in (above, below))
    html_sidebars = {"**": [*above, "versions.html", *below]}


def plain_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keeps the bars of |P| and the stars of formulas from being read as markup; docstrings are no RST."""
    lines[:] = [re.sub(r"(?<![\\`])\|", r"\\|", line) for line in lines]


def setup(app: Any) -> None:
    """Connects the above."""
    app.connect("autodoc-process-docstring", plain_bars)
