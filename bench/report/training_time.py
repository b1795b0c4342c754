"""How long a run had trained at each of its validations."""

import pandas as pd

from bench.results.setting import SETTING_COLUMNS

RUN = [*SETTING_COLUMNS, "algorithm", "seed"]
FACTS = ["title", "family", "status", "device", "git_commit"]


def spent(runs: pd.DataFrame) -> pd.Series:
    """Return the seconds of each training: of the processor on a CPU, where other jobs and pauses do not count; else of the clock."""
    return runs["cpu_seconds"].where(runs["device"].eq("cpu"), runs["seconds"])


def clock(runs: pd.DataFrame) -> str:
    """Return what `spent` measures, for the label of an axis."""
    return "CPU seconds of training" if runs["device"].eq("cpu").all() else "seconds of training"


def validations(history: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the learning curves with `FACTS` of their runs and `time`, the seconds spent on training until each validation.

    An update takes the same time from the first to the last, so the time of a part is its share of that of the whole.
    """
    facts = runs[[*RUN, *FACTS]].assign(per_step=spent(runs) / runs["steps"].where(runs["steps"].gt(0)))
    lines = history.merge(facts, on=RUN)
    return lines.assign(time=lines["per_step"].astype(float) * lines["step"])
