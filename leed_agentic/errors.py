"""The errors this package raises on purpose; each carries the exit code the command line ends with."""


class LeedError(Exception):
    """The work ran and its result is not acceptable. The message is one sentence that names the fix."""

    exit_code = 1


class UsageError(LeedError):
    """The caller asked for something impossible: a wrong name, setting, file or reply format."""

    exit_code = 2


class UnavailableError(LeedError):
    """Something this needs cannot be used right now: SUMO, the model's server, a download."""

    exit_code = 3


class UnwritableError(UnavailableError):
    """A file of the run cannot be written, because the disk is full or gone. Unlike a model that fails, nothing
    later can go well, so nobody swallows it."""


class StoppedError(LeedError):
    """The user pressed Ctrl-C. The message says what is kept and how to go on."""

    exit_code = 130


MOST = 100_000
"""Of anything that is made one by one: so many take weeks, and a slip of the finger should not begin them."""


def check_count(option: str, count: int | None, least: int = 1, most: int = MOST) -> None:
    """Raises UsageError for a count that means nothing, or that nobody can mean."""
    if count is not None and count < least:
        raise UsageError(f"{option} must be {least} or more, not {count}.")
    if count is not None and count > most:
        raise UsageError(f"{option} must be {most:,} or less, not {count}.")
