"""Damage to files, as hypothesis draws it: `FUZZ_EXAMPLES=10000` tries so many of each; `make test` a few, always the same."""

import os
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
some = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 1000,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def mutate(data: bytes, cut: int, flips: list[tuple[int, int]]) -> bytes:
    """Some bytes changed, the end cut off."""
    changed = bytearray(data)
    for place, byte in flips:
        changed[place % len(changed)] = byte
    return bytes(changed[: len(changed) - cut % len(changed)] if cut else changed)


damage = dict(
    cut=st.just(0) | st.integers(0, 10**6),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)


def read_damaged(
    file: Path, content: bytes, read: Callable[[], object], expected: type[Exception], noticed: bool = False
) -> None:
    """Damage a file in many ways; each time, `read()` succeeds or raises `expected`, which names the file.

    noticed: it raises for every change, because the digest of the file is recorded.
    """

    @some
    @given(**damage)
    def attempt(cut, flips):
        damaged = mutate(content, cut, flips)
        file.write_bytes(damaged)
        try:
            read()
            assert damaged == content or not noticed
        except expected as error:
            assert str(file) in str(error), error

    attempt()
