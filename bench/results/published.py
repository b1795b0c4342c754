"""Published results beside ours: `data/published.csv`, one row per value as printed; `data/finn_levine_2018.csv`, as drawn."""

from functools import cache
from pathlib import Path

import pandas as pd

from tasks.catalogue import SHIPPED

PUBLISHED = SHIPPED / "published.csv"
READINGS = PUBLISHED.with_name("finn_levine_2018.csv")
MODE_OF = {"yes": "transductive", "no": "inductive", "unknown": "unknown"}
MEASURES = {"accuracy", "mse"}


@cache
def load_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """Every published row, with the evaluation mode ("inductive", "transductive" or "unknown") in column `mode`.

    accuracy and ci95 are fractions where metric = "accuracy", squared errors where metric = "mse".
    Raises ValueError naming the file and the value when a column holds an unknown word.
    """
    rows = pd.read_csv(path, dtype={"headline": bool})
    for column, allowed in (("transductive", set(MODE_OF)), ("metric", MEASURES)):
        unknown = set(rows[column]) - allowed
        if unknown:
            raise ValueError(f"{path}: column {column} holds {sorted(unknown)}; allowed: {sorted(allowed)}")
    rows = rows.assign(mode=rows["transductive"].map(MODE_OF))
    return rows.sort_values(["dataset", "way", "shot"], kind="stable", ignore_index=True)


def published(
    algorithm: str, dataset: str, way: int, shot: int, mode: str | None = None, path: Path = PUBLISHED
) -> pd.Series | None:
    """The headline value of the literature for one setting, or None.

    With a mode, the row of that mode, otherwise the row whose mode the paper leaves open; without one, the first.
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
    return None if hit.empty else hit.iloc[0]


@cache
def shift_readings(path: Path = READINGS) -> pd.DataFrame:
    """Accuracy under exact strengths as read from the plots of Finn & Levine 2018, strengths rising.

    Columns shift, value, algorithm, accuracy (a fraction), and upper: the true value is below. The file's comments say
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
