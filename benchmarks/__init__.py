"""Speed of the code paths that matter, each compared with the straightforward way: `python -m benchmarks`."""
