"""The `leed` command: it parses words, calls one function, shows the result."""

from __future__ import annotations

import errno
import logging
import sys

import typer

from leed_agentic import __version__
from leed_agentic.cli import demo, experiment, models, policy, prompts
from leed_agentic.cli import map as map_commands
from leed_agentic.cli.console import Warnings, complain, err
from leed_agentic.cli.doctor import doctor
from leed_agentic.cli.evaluate import evaluate
from leed_agentic.cli.report import report
from leed_agentic.cli.train import train
from leed_agentic.errors import LeedError, StoppedError, UnwritableError

INTERRUPTED = 130
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}

app = typer.Typer(
    name="leed",
    help="LLM-planned expert demonstrations for multi-agent reinforcement learning on real streets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(demo.app, name="demo")
app.add_typer(experiment.app, name="experiment")
app.add_typer(map_commands.app, name="map")
app.add_typer(models.app, name="models")
app.add_typer(policy.app, name="policy")
app.add_typer(prompts.app, name="prompts")
app.command("doctor")(doctor)
app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("report")(report)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """LLM-planned expert demonstrations for multi-agent reinforcement learning on real streets."""
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
        # Nearly every file is written somewhere else than here, and any of them may meet a full disk.
        if error.errno not in _DISK:
            raise
        complain(f"Cannot write {error.filename or 'a file'} ({error.strerror}); free some space and try again.")
        sys.exit(UnwritableError.exit_code)
    except SystemExit as stop:
        # Typer turns Ctrl-C into this exit code before anybody else sees it.
        if stop.code == INTERRUPTED:
            complain("Interrupted; what was already written is kept.")
        raise


if __name__ == "__main__":
    main()
