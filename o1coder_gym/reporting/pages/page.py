"""Self-contained HTML pages: styles, scripts and data in one file that opens without server or network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from o1coder_gym.specs import name_of

_LONG = 20
"""Characters of an argument that a line of a narrow column has no room for."""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="o1coder-gym">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{styles}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{data}</script>
{scripts}
</body>
</html>
"""


def html_page(
    title: str, body: str, *, styles: Sequence[str], scripts: Sequence[str], data: Mapping[str, Any]
) -> str:
    """Returns a page as text.

    Args:
        title: Its title, plain text.
        body: HTML.
        styles: Names of assets, in order.
        scripts: Names of assets, run in order behind the body.
        data: JSON-able; the scripts find it in the element ``data``.
    """
    return _PAGE.format(
        title=html.escape(title),
        styles="".join(asset(name) for name in styles),
        body=body,
        data=json_in_html(data),
        scripts="\n".join(f"<script>{asset(name)}</script>" for name in scripts),
    )


def asset(name: str) -> str:
    """Returns the text of a file that ships with this package."""
    return (files("o1coder_gym.reporting") / "assets" / name).read_text(encoding="utf-8")


def json_in_html(value: Any) -> str:
    """Returns JSON that no script element ends early, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def embedded(page: str, *, height: int) -> str:
    """Returns a page as a frame of another one, e.g. of a notebook.

    Args:
        page: A page of `html_page`.
        height: Pixels.
    """
    frame = "width:100%;border:1px solid #8884;border-radius:8px"
    return f'<iframe srcdoc="{html.escape(page)}" style="{frame};height:{height}px"></iframe>'


def spec_words(text: str) -> str:
    """Returns a spec as HTML: its name, and small below it its arguments, and what tells it from others.

    Args:
        text: A spec, or ``SPEC DETAIL`` such as ``mcts?width=4 hf:tiny``.
    """
    spec, _, detail = text.partition(" ")
    name = name_of(spec)
    below = filter(None, (spec[len(name) + 1 :], detail))
    return breakable(name) + "".join(f"<small>{breakable(part)}</small>" for part in below)


def breakable(name: str) -> str:
    """Returns a name as HTML that may break between its arguments, in long ones behind =, but in no word."""
    arguments = re.split(r"(?<=[:,/?&])", name)  # unescaped: the & of an entity is no place to break
    pieces = [
        piece for one in arguments for piece in (re.split("(?<==)", one) if len(one) > _LONG else [one])
    ]
    return "<wbr>".join(html.escape(piece, quote=False) for piece in pieces)
