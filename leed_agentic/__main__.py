"""Where the `leed` command and `python -m leed_agentic` begin: Ctrl-C is one sentence from the first import on."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Load the command line and run it."""
    try:
        from leed_agentic.cli.interrupt import Interrupt
        from leed_agentic.garbage import look_seldom

        look_seldom()
        with Interrupt() as interrupt:
            from leed_agentic.cli.main import main as run

            # An import may have swallowed it.
            interrupt.check()
            run()
    except KeyboardInterrupt:
        print("Stopped before anything was done.", file=sys.stderr)
    except SystemExit as stop:
        if stop.code != INTERRUPTED:
            raise
    else:
        return
    # After a KeyboardInterrupt that came through exec() (which dataclasses use) Python would replace the exit code by a
    # death from the signal, even though the exception was caught.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
