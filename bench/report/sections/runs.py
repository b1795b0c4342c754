"""The runs behind the numbers, with their hyper-parameters, machines and episodes."""

import pandas as pd

from bench.report.numbers import listed, number
from bench.report.summary import Summary
from bench.report.table import runs_anchor
from bench.results.run_folder import RunResult, readable
from bench.results.schema import SCORED
from bench.results.setting import at, settings
from tasks.catalogue import path_name

ID, TITLE, ORDER = "runs", "Runs", 130
MACHINE = {
    "git_commit": "commit",
    "python": "Python",
    "torch": "PyTorch",
    "platform": "platform",
    "cpu": "processor",
    "gpu": "GPU",
}


def facts(summary: Summary) -> dict[str, list[dict]]:
    """Return the runs, one group per setting and algorithm, with what is common to its seeds said once."""
    groups = []
    for setting in settings(summary.runs):
        folder = summary.folder / path_name(setting.dataset) / f"{setting.way}way_{setting.shot}shot"
        for algorithm, rows in at(summary.runs, setting).groupby("algorithm", sort=False):
            found = [readable(folder / algorithm / f"seed{seed}") for seed in rows["seed"]]
            group = {"id": runs_anchor(setting, algorithm), "setting": setting.label}
            groups.append(group | _group(rows, found))
    return {"groups": groups}


def _group(rows: pd.DataFrame, found: list[RunResult]) -> dict:
    records = [result.run for result in found if result.run]
    return {
        "title": rows["title"].iloc[0],
        "citation": records[0]["citation"] if records else "",
        "finished": int(rows["status"].isin(SCORED).sum()),
        "seeds": len(rows),
        "hyper_parameters": records[0]["hyper_parameters"] if records else {},
        "episodes": _digests(found),
        "queries": {
            k: n for result in found if result.test for k, n in result.test.get("queries", {}).items()
        },
        "machine": _machine(records) | _tested_at(found),
        "runs": [_run_row(row) for row in rows.to_dict("records")],
    }


def _digests(found: list[RunResult]) -> dict[str, str]:
    return {
        name: digest for result in found if result.test for name, digest in result.test["episodes"].items()
    }


def _machine(records: list[dict]) -> dict[str, str]:
    """Return each fact with its distinct values over the seeds; more than one value is worth seeing."""
    facts = {}
    for key, label in MACHINE.items():
        values = dict.fromkeys(_fact(record["provenance"], key) for record in records)
        if text := listed(filter(None, values)) if any(values) else "":
            facts[label] = text
    digests = dict.fromkeys(record["data"].get("digest", "") for record in records)
    return facts | ({"data digest": listed(digests)} if any(digests) else {})


def _tested_at(found: list[RunResult]) -> dict[str, str]:
    """Return the commits of tests by other code than that of their trainings."""
    pairs = [
        (result.run["provenance"], (result.test or {}).get("provenance", {}))
        for result in found
        if result.run
    ]
    other = dict.fromkeys(
        _fact(test, "git_commit")
        for training, test in pairs
        if test.get("git_commit") not in (None, training.get("git_commit"))
    )
    return {"tested at commit": listed(other)} if other else {}


def _fact(provenance: dict, key: str) -> str:
    changed = " with uncommitted changes" if key == "git_commit" and provenance.get("git_dirty") else ""
    return f"{provenance.get(key) or ''}{changed}"


def _run_row(row: dict) -> dict[str, str]:
    """Return a run of runs.csv as words."""

    def text(key: str, form: str = "") -> str:
        value = row.get(key)
        return "–" if pd.isna(value) else format(value, form)

    best = row.get("best_val_score")
    return {
        "seed": text("seed"),
        "status": text("status"),
        "steps": text("steps", ",.0f"),
        "tasks": text("tasks", ",.0f"),
        "seconds": text("seconds", ",.0f"),
        "best validation": "–" if pd.isna(best) else number(best),
        "device": text("device"),
        "threads": text("threads", ".0f"),
        "started": text("started").split(".")[0],
        "folder": text("folder"),
    }
