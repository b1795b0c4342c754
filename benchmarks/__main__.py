"""`python -m benchmarks`: measure all cases, or the named ones, on one thread."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from bench.protocol import machine
from bench.protocol.memory import keep_freed
from bench.protocol.provenance import now, provenance
from benchmarks import convolutions, maml, protonet, sampling, table, testing, updates
from benchmarks.timing import Comparison, Scale, measure

CASES: dict[str, Callable[[Scale, torch.device], Iterator[Comparison]]] = {
    "sampling": sampling.cases,
    "maml": maml.cases,
    "protonet": protonet.cases,
    "testing": testing.cases,
    "convolutions": convolutions.cases,
    "updates": updates.cases,
}
RESULTS = Path(__file__).with_name("results.csv")


def run(names: list[str], scale: Scale, device: torch.device, output: Path) -> None:
    """Check that compared variants agree and measure them; print and write the table after each case."""
    machine_facts = provenance(device, now())
    for name in names:
        measured = []
        for comparison in CASES[name](scale, device):
            found = table.rows(comparison, measure(comparison, scale), machine_facts)
            table.show(comparison, found)
            measured += found
        table.write(output, measured)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="CSV file, updated (default: %(default)s)"
    )
    args = parser.parse_args()
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}; choose from {', '.join(CASES)}")
    device = machine.set_up(args.device, 1, tf32=True)
    keep_freed(device)
    run(args.cases or list(CASES), Scale(), device, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
