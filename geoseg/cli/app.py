"""The `geoseg` command: its subcommands in pipeline order, and what a user sees when something goes wrong."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

import typer

from geoseg.cli.areas import areas
from geoseg.cli.bundle import bundle
from geoseg.cli.burn import burn
from geoseg.cli.centrelines import centrelines
from geoseg.cli.check import check
from geoseg.cli.dissolve import dissolve
from geoseg.cli.evaluate import evaluate
from geoseg.cli.export import export
from geoseg.cli.info import info
from geoseg.cli.points import points
from geoseg.cli.polygonize import polygonize
from geoseg.cli.predict import predict
from geoseg.cli.run import run
from geoseg.cli.sample import sample
from geoseg.cli.schema import schema
from geoseg.cli.sheet import sheet
from geoseg.cli.split import split
from geoseg.cli.synth import synth
from geoseg.cli.train import train
from geoseg.errors import GeosegError

SYSTEM_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG}

app = typer.Typer(
    help="Turn multispectral scenes into maps: a scene and a model file in, a styled, georeferenced map out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    sample,
    synth,
    info,
    check,
    predict,
    run,
    polygonize,
    dissolve,
    centrelines,
    burn,
    schema,
    split,
    sheet,
    train,
    evaluate,
    points,
    areas,
    bundle,
    export,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def root(
    *, version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True)
) -> None:
    """Options that stand before the command."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"geoseg {installed('geoseg')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake ends as one line on stderr and an exit code, without a traceback."""
    _end_cleanly_on_signals()
    try:
        app()
    except GeosegError as error:
        typer.echo(f"geoseg: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in SYSTEM_TROUBLE:
            raise
        typer.echo(f"geoseg: {error.filename or 'a temporary file'}: {error.strerror}", err=True)
        sys.exit(GeosegError.exit_code)


def _end_cleanly_on_signals() -> None:
    """Ctrl-C, a scheduler's SIGTERM and a closed terminal end a run by an exception, so that it can tidy up."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    typer.echo(f"geoseg: ended by {signal.Signals(number).name}; no output was changed", err=True)
    sys.exit(128 + number)
