"""SIGTERM and Ctrl-C during a training."""

import signal
from typing import Any


class Signals:
    """Turn SIGTERM and Ctrl-C into `received`, the name of the first signal or None; a second one acts as usual."""

    def __enter__(self) -> "Signals":
        self.received: str | None = None
        stops = (signal.SIGTERM, signal.SIGINT)
        self.previous = {number: signal.signal(number, self._note) for number in stops}
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, self.previous[number])

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
