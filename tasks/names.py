"""Names that a person may have mistyped."""

import difflib
from collections.abc import Iterable
from typing import Any


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Return ` (did you mean 'steps'?)` for a name close to a known one, else an empty text."""
    close = difflib.get_close_matches(str(name)[:100], list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
