"""The table of measurements, on the screen and in a CSV file with one row per device, case and variant."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from bench.results.files import write_text
from benchmarks.timing import Comparison, Rate

COLUMNS = [
    "date", "commit", "device", "torch", "threads",
    "case", "name", "variant", "unit", "value", "wall", "ratio",
]  # fmt: skip
"""value: units per CPU-second of one thread (on a GPU: per second). wall: units per second of wall time.
ratio: value divided by that of the baseline, the first variant of the same name."""


def rows(comparison: Comparison, rates: list[Rate], provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per variant. provenance: result of `bench.protocol.provenance.provenance`."""
    gpu = provenance["gpu"]
    where = {
        "date": provenance["started"][:10],
        "commit": f"{provenance['git_commit'] or 'unknown'}{'-dirty' * provenance['git_dirty']}",
        "device": gpu or provenance["cpu"],
        "torch": provenance["torch"],
        "threads": provenance["threads"],
    }
    unit = f"{comparison.unit} per {'second' if gpu else 'CPU-second'}"
    return [
        where
        | {"case": comparison.case, "name": comparison.name, "variant": variant.name, "unit": unit}
        | {
            "value": _round(rate.value),
            "wall": _round(rate.wall),
            "ratio": round(rate.value / rates[0].value, 3),
        }
        for variant, rate in zip(comparison.variants, rates, strict=True)
    ]


def show(comparison: Comparison, measured: list[dict[str, Any]]) -> None:
    """Print one comparison, with a reason for each missing variant."""
    title = f"{comparison.case}: {comparison.name}"
    table = Table(title=title, title_justify="left")
    for column in ("variant", measured[0]["unit"], "wall, per second", "ratio"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for row in measured:
        table.add_row(row["variant"], f"{row['value']:,}", f"{row['wall']:,}", f"{row['ratio']:.2f}")
    for name, reason in comparison.skipped.items():
        table.add_row(name, "skipped", reason, "")
    Console().print(table)


def write(path: Path, measured: list[dict[str, Any]]) -> None:
    """Write the rows into the CSV; they replace older rows of the same device and case, and all others stay."""
    new = pd.DataFrame(measured, columns=COLUMNS)
    if path.exists():
        old = pd.read_csv(path)
        replaced = set(zip(new["device"], new["case"], strict=True))
        stays = [key not in replaced for key in zip(old["device"], old["case"], strict=True)]
        new = pd.concat([old[stays], new]) if any(stays) else new
    write_text(path, new.to_csv(index=False))


def _round(value: float) -> float | int:
    """Round to four significant digits; more would be noise."""
    return float(f"{value:.4g}") if value < 1000 else int(float(f"{value:.4g}"))
