"""The protocol: meta-training, meta-testing, statistics, report. Owns every file format; one verb per DAG stage.

`from bench import load_learner` gives a trained learner for use on your own pictures (docs/use.md).
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Import `load_learner` when it is asked for: it needs torch, which takes seconds to load."""
    if name == "load_learner":
        from bench.use.learner import load_learner

        return load_learner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
