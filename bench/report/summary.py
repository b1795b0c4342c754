"""What a report is made from: the tables of `bench summarize` and `bench claims`, and the study itself."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.paths import results_root
from bench.report.numbers import counted
from bench.report.style import Style, styles_of
from bench.results.bins import BINS
from bench.results.condition import as_trained, clean, graded, reported
from bench.results.files import read_csv
from bench.results.metrics import main_metrics
from bench.results.parquet import read_parquet
from bench.results.setting import SETTING_COLUMNS, Setting, at, settings
from bench.results.table_digests import check_digests
from bench.study.study import Study

CALIBRATED = ("calibration", "calibration_scores")
TABLES = (
    "cells",
    "comparisons",
    "degradation",
    "severities",
    "losses",
    "separation",
    "ranks",
    "runs",
    "claims",
    "modes",
    *CALIBRATED,
)
ORDERED = ("cells", "degradation", "severities", "losses", "separation", "runs", "ranks", "modes")
"""Tables whose rows are put in the order of the study's data sets, besides those of calibration."""
SCOPES = {"task": "whole task shifted", "query": "only queries shifted"}
SETTINGS_IN_PAGE = 4
"""Up to so many settings, the page has the curves of all of them; those of one are up to half a megabyte."""
FEWEST = 100
"""Queries at least in a bin of confidence that is drawn: with fewer, its accuracy is known to ten points at best."""


@dataclass(frozen=True)
class Summary:
    """The tables of a study. Comparisons are those on tasks as trained for, shifted or not."""

    study: Study
    cells: pd.DataFrame
    comparisons: pd.DataFrame
    degradation: pd.DataFrame
    severities: pd.DataFrame
    losses: pd.DataFrame
    separation: pd.DataFrame
    ranks: pd.DataFrame
    runs: pd.DataFrame
    claims: pd.DataFrame
    modes: pd.DataFrame
    calibration: pd.DataFrame
    calibration_scores: pd.DataFrame
    history: pd.DataFrame

    @property
    def folder(self) -> Path:
        """Folder of the study's results."""
        return results_root() / self.study.name

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Styles of all algorithms of the study."""
        return styles_of(self.runs.dropna(subset=["family"]))

    @cached_property
    def own(self) -> pd.DataFrame:
        """Cells of tasks as trained for, shifted or not."""
        return own_task(self.cells)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Rows of each learner by scope, shift and severity, 0 included, on the same episodes.

        The shifted tasks of a regression have no clean counterpart; its severity 0 is the cell in distribution.
        """
        rows = self.severities
        paired = rows[rows["scope"].isin(SCOPES)].assign(chance=lambda found: 1 / found["way"])
        errors = self.own[self.own["metric"].ne("accuracy")]
        unshifted, found = errors[clean(errors)], [paired]
        for (scope, shift), part in errors[graded(errors)].groupby(["scope", "shift"], sort=False):
            start = unshifted.merge(part[[*SETTING_COLUMNS, "algorithm"]].drop_duplicates())
            found += [start.assign(scope=scope, shift=shift), part]
        found = [part for part in found if len(part)]  # an empty table has columns without a type
        return pd.concat(found, ignore_index=True) if found else paired

    def unshifted(self, setting: Setting) -> pd.DataFrame:
        """Cells of a setting in distribution, on the episodes of its shifts where it has shifts."""
        cells, rows = at(self.own[clean(self.own)], setting), at(self.severities, setting)
        columns = ["mean", "low", "high", "n_episodes", "seed_means", "episode_half_width"]
        shared = rows[rows["scope"].eq("clean")].set_index("algorithm")[columns]
        if shared.empty:
            return cells
        cells = cells[cells["algorithm"].isin(shared.index)]
        return cells.assign(**{column: cells["algorithm"].map(shared[column]) for column in shared})

    @property
    def scope(self) -> str | None:
        """The scope that stands for shifted tasks: whole tasks where the study has them."""
        return next((scope for scope in SCOPES if scope in set(self.cells["scope"])), None)

    def in_page(self, setting: Setting) -> bool:
        """Whether the page has the curves of a setting: of many settings, it has those of each data set's first."""
        found = settings(self.cells)
        first = {one.dataset: one for one in reversed(found)}
        return len(found) <= SETTINGS_IN_PAGE or first.get(setting.dataset) == setting

    @cached_property
    def counts(self) -> dict[str, object]:
        """What captions may name in braces: how many seeds, episodes, bins and queries stand behind the numbers."""
        unshifted = clean(self.own)
        return {
            "seeds": counted(self.own["n_seeds"], "seed"),
            "episodes": counted(self.own.loc[unshifted, "n_episodes"], "episode"),
            "shift_episodes": counted(self.own.loc[~unshifted, "n_episodes"], "episode"),
            "bins": BINS,
            "fewest": FEWEST,
        }


def own_task(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of tasks as trained for, by the main metric, in the mode that stands for each learner."""
    return cells[as_trained(cells) & cells["metric"].isin(main_metrics()) & cells["reported"]]


def hardest(cells: pd.DataFrame, scope: str) -> pd.Series:
    """Return the mean over the shifts of a scope that all algorithms share, each at its highest severity, by algorithm."""
    shifted = cells[cells["scope"].eq(scope) & graded(cells)]
    tested = shifted.groupby(["shift", "severity"])["algorithm"].transform("nunique")
    shifted = shifted[tested.eq(shifted["algorithm"].nunique())]
    top = shifted[shifted["severity"].eq(shifted.groupby("shift")["severity"].transform("max"))]
    return top.groupby("algorithm")["mean"].mean()


def read_summary(study: Study) -> Summary:
    """Read the tables of a study, their rows in the order of its data sets.

    Raises FileNotFoundError or ResultError naming the file and the remedy.
    """
    folder = results_root() / study.name / "tables"
    paths = {name: folder / f"{name}.csv" for name in TABLES} | {"history": folder / "history.parquet"}
    for path in paths.values():
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist; run `python -m bench summarize` and `claims` on the study first"
            )
    check_digests(folder, ("summarize", "claims"), [path.name for path in paths.values()])
    frames = {name: read_csv(paths[name]) for name in TABLES}
    for name in (*ORDERED, *CALIBRATED):
        frames[name] = _in_order(frames[name], [*study.settings.datasets, "all"])
    for name in ("cells", *CALIBRATED):
        frames[name]["reported"] = reported(frames[name])
    frames["comparisons"] = frames["comparisons"][as_trained(frames["comparisons"])]
    frames["runs"]["title"] = titles(frames["runs"])
    return Summary(study=study, **frames, history=read_parquet(paths["history"]))


def _in_order(frame: pd.DataFrame, datasets: list[str]) -> pd.DataFrame:
    order = frame["dataset"].map({dataset: i for i, dataset in enumerate(datasets)})
    return frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def titles(runs: pd.DataFrame) -> pd.Series:
    """Return the titles of all runs; a missing run has that of another run, or the algorithm's name."""
    known = runs.groupby("algorithm")["title"].transform("first")
    return runs["title"].fillna(known).fillna(runs["algorithm"])
