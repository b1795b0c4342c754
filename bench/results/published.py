"""Published results: `data/published.csv`, one row per value as printed, and `data/finn_levine_2018.csv`, read from plots."""

from functools import cache
from pathlib import Path

import pandas as pd

from bench.results.metrics import main_metrics
from bench.results.setting import SETTING_COLUMNS
from tasks.catalogue import SHIPPED

PUBLISHED = SHIPPED / "published.csv"
READINGS = PUBLISHED.with_name("finn_levine_2018.csv")
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
    rows = rows.assign(mode=rows["transductive"].map(MODE_OF))
    return rows.sort_values(SETTING_COLUMNS, kind="stable", ignore_index=True)


def published(
    algorithm: str, dataset: str, way: int, shot: int, mode: str | None = None, path: Path = PUBLISHED
) -> pd.Series | None:
    """Return the headline value of the literature for one setting, or None.

    mode: prefer the row of that mode, then the row whose mode the paper leaves open; without it, the first row.
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
