"""The front desk: one typer app, errors as one line."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from o1coder_gym import __version__
from o1coder_gym.cli.search import bench, demo, report, solve, synthesize, tree
from o1coder_gym.cli.tools import data, doctor, judge, listing, models, serve
from o1coder_gym.cli.training import micro, prm, rl, selfplay, sft, tcg
from o1coder_gym.errors import O1CoderError, UsageError

app = typer.Typer(
    name="o1coder",
    help="Code reasoning as a decision process: solve, search, benchmark, train.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("solve")(solve.solve)
app.command("sft")(sft.sft)
app.command("synthesize")(synthesize.synthesize)
app.command("report")(report.report)
app.command("tree")(tree.tree)
app.command("serve")(serve.serve)
app.command("judge")(judge.judge)
app.command("list")(listing.list_registered)
app.command("doctor")(doctor.doctor)
app.command("micro")(micro.micro)
app.command("selfplay")(selfplay.selfplay)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(tcg.app, name="tcg")
app.add_typer(prm.app, name="prm")
app.add_typer(rl.app, name="rl")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"o1coder-gym {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Code reasoning as a decision process: solve, search, benchmark, train."""


def main() -> None:
    """Runs the command line; exit status 0 done, 1 the work failed, 2 usage."""
    errors = Console(stderr=True)
    try:
        app()
    except UsageError as error:
        errors.print(f"[red]usage:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except O1CoderError as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        errors.print(f"[red]error:[/] {escape(f'{error.strerror or error}{place}')}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
