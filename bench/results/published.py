"""Published results: `data/published.csv`, one row per value as printed, and `data/finn_levine_2018.csv`, read from plots."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bench.results.metrics import main_metrics
from bench.results.setting import SETTING_COLUMNS
from tasks.facts import SHIPPED

PUBLISHED = SHIPPED / "published.csv"
READINGS = PUBLISHED.with_name("finn_levine_2018.csv")
NETWORKS = {
    r"Conv4\S* strided": "conv4_stride",
    r"Conv4\S* \+ relation module": "conv4_valid",
    r"Conv4": "conv4",
    r"modified ResNet-12": "snail_resnet",
    r"ResNet-12": "resnet12",
    r"MLP": "mlp",
}
"""Beginning of a published network's name -> our `backbone`; widths may differ."""
MODE_OF = {"yes": "transductive", "no": "inductive", "unknown": "unknown"}


@cache
def load_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """Return every published row, with the mode of evaluation (inductive, transductive or unknown) in the column `mode`.

    accuracy and ci95 are fractions where the metric is `accuracy`, squared errors where it is `mse`. Raises ValueError
    naming the file and the value when a column holds an unknown word.
    """
    rows = pd.read_csv(path, dtype={"headline": bool})
    for column, allowed in (("transductive", set(MODE_OF)), ("metric", set(main_metrics()))):
        unknown = set(rows[column]) - allowed
        if unknown:
            raise ValueError(f"{path}: column {column} holds {sorted(unknown)}; allowed: {sorted(allowed)}")
    notes = rows["note"].fillna("") if "note" in rows else ""
    rows = rows.assign(mode=rows["transductive"].map(MODE_OF), note=notes)
    rows = rows.assign(network=rows["backbone"].map(network_of) if "backbone" in rows else None)
    return rows.sort_values(SETTING_COLUMNS, kind="stable", ignore_index=True)


def network_of(backbone: str) -> str | None:
    """Return the `backbone` of ours that a published network is, by its name in the table; None where there is none."""
    return next((name for pattern, name in NETWORKS.items() if re.match(pattern, backbone)), None)


def used(name: str, hyper_parameters: dict[str, Any]) -> Any:
    """Return a hyper-parameter of a run or of its pretraining, such as `backbone`; None where it has none of this name."""
    return next((value for key, value in hyper_parameters.items() if key.split(".")[-1] == name), None)


def published(
    algorithm: str,
    dataset: str,
    way: int,
    shot: int,
    mode: str | None = None,
    network: str | None = None,
    path: Path = PUBLISHED,
) -> pd.Series | None:
    """Return the headline value of the literature for one setting, or None.

    mode: prefer the row of that mode, then the row whose mode the paper leaves open; without it, the first row. network:
    backbone of the run that stands beside it; prefer the row of that one. `apart` of the row says in what it differs:
    another network, another harness, or nothing (an empty text).
    """
    rows = load_published(path)
    hit = rows[
        rows["headline"]
        & rows["algorithm"].eq(algorithm)
        & rows["dataset"].eq(dataset)
        & rows["way"].eq(way)
        & rows["shot"].eq(shot)
    ]
    if mode is not None:
        exact = hit[hit["mode"].eq(mode)]
        hit = exact if len(exact) else hit[hit["mode"].eq("unknown")]
    if hit.empty:
        return None
    same = hit if network is None else hit[hit["network"].eq(network)]
    row = (same if len(same) else hit).iloc[0]
    other = "" if len(same) else str(row["backbone"]).split(" (")[0].split(" DropBlock")[0]
    return pd.concat([row, pd.Series({"apart": ", ".join(filter(None, [other, row["note"]]))})])


@cache
def shift_readings(path: Path = READINGS) -> pd.DataFrame:
    """Return the accuracies under exact strengths read from the plots of Finn & Levine 2018, strengths rising.

    Columns: shift, value, algorithm, accuracy (a fraction), and upper (the true value is below). The file's comments say
    how the readings were made. Raises ValueError naming the file and the value.
    """
    rows = pd.read_csv(path, comment="#")
    unknown = set(rows["bound"].dropna()) - {"upper"}
    if unknown:
        raise ValueError(f"{path}: column bound holds {sorted(unknown)}; allowed: upper, or nothing")
    off = rows[~rows["accuracy"].between(0, 1)]
    if len(off):
        raise ValueError(
            f"{path}: column accuracy holds {off['accuracy'].iloc[0]}; it is a fraction from 0 to 1"
        )
    rows = rows.assign(upper=rows["bound"].eq("upper")).drop(columns="bound")
    return rows.sort_values(["shift", "value"], kind="stable", ignore_index=True)
