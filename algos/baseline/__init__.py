"""One file per algorithm; see algos/base.py for the contract."""
