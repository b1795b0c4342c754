"""Where verbs print their tables."""

import sys

from rich.console import Console


class Screen(Console):
    """Standard output: tables fit a terminal; for another program, their lines are uncut."""

    UNCUT = 1_000
    """Columns of the widest line."""

    def __init__(self) -> None:
        super().__init__(width=None if sys.stdout.isatty() else self.UNCUT)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as `print` does: rich would end the program as if something had failed."""
        raise BrokenPipeError
