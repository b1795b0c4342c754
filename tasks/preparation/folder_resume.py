"""What a preparation of your own pictures has done so far: one that was killed is resumed where it was."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

SAVE_SECONDS = 10.0
RECORD = "progress.json"


class Unfinished:
    """Arrays in a folder, with a record of how far they are filled. A record with another key is of other pictures."""

    def __init__(self, folder: Path, **key: Any):
        self._folder, self._file, self._saved = folder, folder / RECORD, time.monotonic()
        self._record = {"key": key}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            self._record = found if found["key"] == key else self._record
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing to resume
        self._arrays: list[np.memmap] = []

    def __getitem__(self, name: str) -> Any:
        return self._record.get(name)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The uint8 array of this name, as it was left where there is something to resume, otherwise zeros."""
        file = self._folder / f"{name}.npy"
        if not self["classes"]:
            np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
        self._arrays.append(np.lib.format.open_memmap(file, mode="r+"))
        return self._arrays[-1]

    def save(self, **changes: Any) -> None:
        """Write the record, after the arrays that it tells of."""
        for array in self._arrays:
            array.flush()
        self._record |= changes
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._record), encoding="utf-8")
        part.replace(self._file)
        self._saved = time.monotonic()

    def save_at_times(self, **changes: Any) -> None:
        """`save`, unless that was done a moment ago."""
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save(**changes)
