"""The command line `seamount`: thin commands over the public API.

Exit codes: 0 all well; 1 a check failed (targets diverge, a graph does not fit); 2 wrong usage or bad input, told in
one message without a traceback (`seamount --debug ...` shows it). `--json` prints one JSON document for machines.
"""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from seamount.cli import graphs, memory, models, running, studies
from seamount.cli.console import fail
from seamount.errors import DivergenceError, SeamountError


class Commands(TyperGroup):
    """Turns what the toolchain raises on purpose, and what the file system refuses, into a message and an exit code."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (SeamountError, OSError) as error:
            if ctx.params.get("debug"):
                raise
            fail(str(error))
            raise typer.Exit(1 if isinstance(error, DivergenceError) else 2) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def seamount(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """From a spiking network in PyTorch to a neuromorphic chip, bit for bit."""


for command in (
    models.demo,
    models.train,
    graphs.inspect,
    graphs.export,
    running.run,
    running.verify,
    graphs.report,
    graphs.targets,
):
    app.command()(command)
studies.app.command()(memory.memory)
app.add_typer(studies.app, name="study")


def main() -> None:
    """Entry point of the `seamount` script."""
    app()
