"""What stands behind the numbers: runs with their settings and machines, data cards, what the study found in words."""

import json
from pathlib import Path

import pandas as pd

from bench.report.contents import FINE, LEVEL, anchor
from bench.report.figures import hardest, own_task
from bench.report.style import at, listed, number, settings
from bench.results.run_folder import RunResult, read_run

_MACHINE = {
    "git_commit": "commit",
    "python": "Python",
    "torch": "PyTorch",
    "platform": "platform",
    "cpu": "processor",
    "gpu": "GPU",
}
_SETTINGS_TOLD = 6
_TIED_TOLD = 5  # with few seeds and many learners, the list would be everybody


def run_groups(runs: pd.DataFrame, study_folder: Path) -> list[dict]:
    """The runs behind each number, one group per setting and algorithm, with what is common to its seeds said once."""
    groups = []
    for setting in settings(runs):
        for algorithm, rows in at(runs, setting).groupby("algorithm", sort=False):
            folder = study_folder / setting.dataset / f"{setting.way}way_{setting.shot}shot" / algorithm
            found = [read_run(folder / f"seed{seed}") for seed in rows["seed"]]
            records = [result.run for result in found if result.run]
            groups.append(
                {
                    "id": anchor(setting, algorithm),
                    "setting": setting.label,
                    "title": rows["title"].iloc[0],
                    "citation": records[0]["citation"] if records else "",
                    "finished": int(rows["status"].isin(FINE).sum()),
                    "seeds": len(rows),
                    "hyper_parameters": records[0]["hyper_parameters"] if records else {},
                    "episodes": _digests(found),
                    "machine": _machine(records),
                    "runs": [_run_row(row) for row in rows.to_dict("records")],
                }
            )
    return groups


def _digests(found: list[RunResult]) -> dict[str, str]:
    return {
        name: digest for result in found if result.test for name, digest in result.test["episodes"].items()
    }


def _machine(records: list[dict]) -> dict[str, str]:
    """Each fact with its distinct values over the seeds; more than one value is worth seeing."""
    facts = {}
    for key, label in _MACHINE.items():
        values = dict.fromkeys(_fact(record["provenance"], key) for record in records)
        if text := listed(filter(None, values)) if any(values) else "":
            facts[label] = text
    digests = dict.fromkeys(record["data"].get("digest", "") for record in records)
    return facts | ({"data digest": listed(digests)} if any(digests) else {})


def _fact(provenance: dict, key: str) -> str:
    changed = " with uncommitted changes" if key == "git_commit" and provenance.get("git_dirty") else ""
    return f"{provenance.get(key) or ''}{changed}"


def _run_row(row: dict) -> dict[str, str]:
    """A run of runs.csv as words."""

    def text(key: str, form: str = "") -> str:
        value = row.get(key)
        return "–" if pd.isna(value) else format(value, form)

    best = row.get("best_val_accuracy")
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


def data_cards(datasets: list[str], prepared: Path) -> list[dict]:
    """card.json of each data set with the path of its picture sheet; a note where it has not been prepared here."""
    cards = []
    for name in datasets:
        path = prepared / name / "card.json"
        card = json.loads(path.read_text()) if path.exists() else None
        cards.append({"name": name, "card": card, "sheet": path.with_name("sheet.png")})
    return cards


def findings(cells: pd.DataFrame, comparisons: pd.DataFrame, scope: str | None) -> list[tuple[str, str]]:
    """The result in words, (setting, text): the best, those it cannot be told from, who keeps most under shift."""
    said, cells = [], own_task(cells)
    for setting in settings(cells)[:_SETTINGS_TOLD]:
        rows = at(cells, setting)
        clean = rows[rows["shift"].eq("none")]
        rising = clean["metric"].iloc[0] == "mse"
        competing = ~clean["yardstick"]
        clean = (clean[competing] if competing.any() else clean).sort_values("mean", ascending=rising)
        text = _best(clean, at(comparisons, setting))
        worst = hardest(rows, scope).sort_values(ascending=rising) if scope else []
        said.append((setting.label, text + (_shifted(clean, worst) if len(worst) > 1 else "")))
    return said


def _best(clean: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    first, metric = clean.iloc[0], clean["metric"].iloc[0]
    unit = " %" if metric == "accuracy" else ""
    interval = f"95 % interval {number(first['low'], metric)} to {number(first['high'], metric)}"
    pairs = comparisons[comparisons["shift"].eq("none") & comparisons["p_holm"].ge(LEVEL)]
    pairs = zip(pairs["algorithm_a"], pairs["algorithm_b"], strict=True)
    close = {b if a == first["algorithm"] else a for a, b in pairs if first["algorithm"] in (a, b)}
    titles = clean.loc[clean["algorithm"].isin(close), "title"]
    tied = ""
    if len(titles):
        who = listed(titles) if len(titles) <= _TIED_TOLD else f"{len(titles)} of {len(clean) - 1} others"
        tied = f"; {who} cannot be told from it"
    return f"Best: {first['title']}, {number(first['mean'], metric)}{unit} ({interval}){tied}."


def _shifted(clean: pd.DataFrame, worst: pd.Series) -> str:
    """How far the trained learner that ends highest and the one that ends lowest fall."""
    metric = clean["metric"].iloc[0]
    trained = clean[clean["family"].ne("baseline")].set_index("algorithm")
    worst = worst[worst.index.isin(trained.index)]
    ends = [
        f"{rank} {trained.loc[a, 'title']}, {number(worst[a], metric)} (from {number(trained.loc[a, 'mean'], metric)})"
        for rank, a in zip(
            ("best", "last"), dict.fromkeys([*worst.index[:1], *worst.index[-1:]]), strict=False
        )
    ]
    return f" Mean over the shifts at their highest severity: {'; '.join(ends)}." if ends else ""
