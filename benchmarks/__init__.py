"""Speed of the code paths that matter, each against the straightforward way to do the same: `python -m benchmarks`."""
