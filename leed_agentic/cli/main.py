"""The `leed` command: it parses words, calls one function, shows the result."""

from __future__ import annotations

import errno
import logging
import sys
from pathlib import Path

import typer

from leed_agentic import __version__
from leed_agentic.cli import demo, experiment, models, policy, prompts
from leed_agentic.cli import map as map_commands
from leed_agentic.cli.animate import animate
from leed_agentic.cli.console import Warnings, complain, err
from leed_agentic.cli.doctor import doctor
from leed_agentic.cli.drive import drive
from leed_agentic.cli.evaluate import evaluate
from leed_agentic.cli.export import export
from leed_agentic.cli.report import report
from leed_agentic.cli.train import train
from leed_agentic.errors import LeedError, StoppedError, UnwritableError
from leed_agentic.runs.files import unwritable

INTERRUPTED = 130
NOBODY_READS = 141
"""As a shell says of what SIGPIPE ended: `leed demo calls RUN | head -1`."""
_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE, errno.ESTALE),
}

app = typer.Typer(
    name="leed",
    help="LLM-planned expert demonstrations for multi-agent reinforcement learning on real streets.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.add_typer(demo.app, name="demo")
app.add_typer(experiment.app, name="experiment")
app.add_typer(map_commands.app, name="map")
app.add_typer(models.app, name="models")
app.add_typer(policy.app, name="policy")
app.add_typer(prompts.app, name="prompts")
app.command("animate")(animate)
app.command("doctor")(doctor)
app.command("train")(train)
app.command("drive")(drive)
app.command("evaluate")(evaluate)
app.command("export")(export)
app.command("report")(report)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """LLM-planned expert demonstrations for multi-agent reinforcement learning on real streets."""
    if context.invoked_subcommand is None:
        print(context.get_help())
    logger = logging.getLogger("leed_agentic")
    if not any(isinstance(handler, Warnings) for handler in logger.handlers):
        logger.addHandler(Warnings(logging.WARNING))


def main() -> None:
    """Run the command line; a LeedError becomes one sentence and its exit code, never a traceback."""
    try:
        app()
    except StoppedError as stopped:
        err.print(str(stopped), markup=False, highlight=False)
        sys.exit(stopped.exit_code)
    except LeedError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        # Any file may meet a full disk or a folder that somebody took away, wherever it is read or written.
        if error.errno not in _DISK:
            raise
        complain(str(unwritable(Path(error.filename or "a file"), error)))
        sys.exit(UnwritableError.exit_code)
    except SystemExit as stop:
        # Typer turns Ctrl-C into this exit code before anybody else sees it.
        if stop.code == INTERRUPTED:
            complain("Interrupted; what was already written is kept.")
        if isinstance(stop.__context__, BrokenPipeError):
            # Typer and Rich both make exit code 1 of it, which is a result's.
            sys.exit(NOBODY_READS)
        raise


if __name__ == "__main__":
    main()
