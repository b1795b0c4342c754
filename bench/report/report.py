"""`bench report STUDY.yaml`: one offline HTML page, figures as SVG and PDF, tables as CSV, Markdown and LaTeX."""

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
import yaml

from bench.paths import ROOT, reports_root, results_root
from bench.report import (
    appendix,
    contents,
    costs,
    curves,
    depth,
    evidence,
    figures,
    modes,
    others,
    regression,
    reliability,
    robustness,
)
from bench.report.pictures import data_uri, pictures
from bench.report.style import Look, Setting, dataset_label, looks, settings
from bench.report.svg import Figure, marker_path, shared_styles
from bench.report.table import Table
from bench.results.condition import as_trained, reported
from bench.results.files import write_text
from bench.results.schema import BINS
from bench.study.study import Study, load_study
from tasks.catalogue import prepared_root

PAGE = ROOT / "workflow" / "report"
CALIBRATED = ("calibration", "calibration_scores")
SUMMARIES = ("cells", "comparisons", "degradation", "ranks", "runs", "claims", "modes", *CALIBRATED)
PER_TASK = ("shifts", "strengths")
TASKS_IN_PAGE = 4
"""Up to so many tasks, the page has these figures of them all; each is up to half a megabyte with 24 learners."""
SECTIONS = {
    "result": "Result",
    "table": "Table",
    "claims": "Claims",
    "shifts": "Out of distribution",
    "other": "Other tasks",
    "modes": "Transductive and inductive",
    "calibration": "Calibration",
    "learning": "Learning curves",
    "comparison": "Paired comparison",
    "cost": "Cost",
    "pictures": "Pictures",
    "data": "Data",
    "runs": "Runs",
    "missing": "Missing and failed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml; summarize it first")


def main(args: argparse.Namespace) -> int:
    page = build_report(load_study(args.study))
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
    return 0


@dataclass(frozen=True)
class Summary:
    """The tables of `bench summarize`; of the comparisons those on tasks as trained for, shifted or not."""

    cells: pd.DataFrame
    comparisons: pd.DataFrame
    degradation: pd.DataFrame
    ranks: pd.DataFrame
    runs: pd.DataFrame
    claims: pd.DataFrame
    modes: pd.DataFrame
    calibration: pd.DataFrame
    calibration_scores: pd.DataFrame
    history: pd.DataFrame

    @property
    def looks(self) -> dict[str, Look]:
        return looks(self.runs.dropna(subset=["family"]))

    @property
    def scope(self) -> str | None:
        """The scope of the headline figure: whole tasks where the study has them."""
        return next((s for s in figures.SCOPES if s in set(self.cells["scope"])), None)


def read_summary(folder: Path, datasets: list[str]) -> Summary:
    """Read results/{study}/tables, rows in the order of these data sets.

    Raises FileNotFoundError naming the file and the remedy.
    """
    paths = {name: folder / f"{name}.csv" for name in SUMMARIES} | {"history": folder / "history.parquet"}
    for path in paths.values():
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist; run `python -m bench summarize` and `claims` on the study first"
            )
    frames = {name: pd.read_csv(paths[name]) for name in SUMMARIES}
    for name in ("cells", "degradation", "runs", "ranks", "modes", *CALIBRATED):
        order = frames[name]["dataset"].map({dataset: i for i, dataset in enumerate([*datasets, "all"])})
        frames[name] = frames[name].iloc[order.argsort(kind="stable")].reset_index(drop=True)
    for name in ("cells", *CALIBRATED):
        frames[name]["reported"] = reported(frames[name])
    frames["comparisons"] = frames["comparisons"][as_trained(frames["comparisons"])]
    frames["runs"]["title"] = titles(frames["runs"])
    return Summary(**frames, history=pd.read_parquet(paths["history"]))


def titles(runs: pd.DataFrame) -> pd.Series:
    """Titles of all runs; a run that is missing has that of another run, or the algorithm's name."""
    known = runs.groupby("algorithm")["title"].transform("first")
    return runs["title"].fillna(known).fillna(runs["algorithm"])


def build_report(study: Study) -> Path:
    """Write reports/{study}: report.html, figures/, tables/. Returns the path of the page."""
    datasets = list(study.config["datasets"])
    source, target = results_root() / study.name, reports_root() / study.name
    summary = read_summary(source / "tables", datasets)
    drawn, tables = draw(summary), tabulate(summary)
    tasks = settings(summary.cells)
    beside = [f.name for name in PER_TASK for f in drawn[name] if not in_page(f, tasks)]
    drawn["fits"] = regression.fit_figures(study, summary.looks)
    drawn["depth"] = depth.depth_figures(study, summary.cells)
    shown = pictures(study)
    for figure in [*itertools.chain(*drawn.values()), *shown]:
        figure.save(target / "figures")
    for table in itertools.chain(*tables.values()):
        table.save(target / "tables")
    page = render(
        study=study,
        figures=drawn,
        beside=beside,
        tables=tables,
        findings=evidence.findings(summary.cells, summary.comparisons, summary.scope),
        captions=captions(summary),
        pictures=shown,
        cards=evidence.data_cards(datasets, prepared_root()),
        groups=evidence.run_groups(summary.runs, source),
        compared=appendix.COMPARED,
        counts=summary.runs["status"].value_counts().to_dict(),
    )
    return write_text(target / "report.html", page)


def in_page(figure: Figure, tasks: list[Setting]) -> bool:
    """False for a figure of one task that stays a file beside the page: of many tasks, each data set's first is shown."""
    first = {task.dataset: task.slug for task in reversed(tasks)}.values()
    return len(tasks) <= TASKS_IN_PAGE or any(f"-{slug}-" in figure.name for slug in first)


def draw(summary: Summary) -> dict[str, list[Figure]]:
    """The figures of each section; a study without results may have learning curves already."""
    look, cells = summary.looks, summary.cells
    names = ("headline", "shifts", "strengths", "degradation", "other", "ranks", "cost", "modes")
    drawn = {name: [] for name in (*names, "calibration")}
    if len(cells):
        ranks = figures.rank_figure(summary.ranks, look)
        drawn["headline"] = [figures.headline_figure(cells, look, summary.scope)]
        drawn["shifts"] = list(curves.shift_figures(cells, look).values())
        drawn["strengths"] = robustness.strength_figures(cells, look)
        drawn["degradation"] = robustness.degradation_figures(summary.degradation, look)
        drawn["other"] = others.other_figures(cells, look)
        drawn["ranks"] = [ranks] if ranks else []
        drawn["cost"] = costs.pareto_figures(cells, summary.runs, look)
        drawn["modes"] = [figure for figure in [modes.modes_figure(summary.modes, look)] if figure]
        drawn["calibration"] = reliability.reliability_figures(
            summary.calibration, summary.calibration_scores, look, summary.scope
        )
    return drawn | {"learning": curves.learning_figures(summary.history, look)}


def tabulate(summary: Summary) -> dict[str, list[Table]]:
    """The tables of each section."""
    cells, runs, pairs = summary.cells, summary.runs, summary.comparisons
    names = ("headline", "regression", "published", "degradation", "other", "cost", "reach")
    tables = {name: [] for name in (*names, *appendix.COMPARED, "modes", "calibration")}
    tables["missing"] = [appendix.missing_table(runs)]
    tables["claims"] = [appendix.claims_table(summary.claims)]
    if len(cells):
        tables |= {
            "headline": [contents.headline_table(cells, runs, pairs)],
            "regression": [regression.regression_table(cells)],
            "published": [contents.published_table(cells)],
            "degradation": robustness.degradation_tables(summary.degradation),
            "other": [others.other_table(cells)],
            "cost": [costs.cost_table(runs)],
            "reach": [costs.reach_table(summary.history, runs)],
            "modes": [modes.modes_table(summary.modes)],
            "calibration": [reliability.calibration_table(summary.calibration_scores)],
        }
        for scope in appendix.COMPARED:
            found = [
                appendix.comparison_table(pairs, cells, s, f"differences-{scope}", scope)
                for s in settings(cells)
            ]
            tables[scope] = found
    return {name: [t for t in group if t and t.rows] for name, group in tables.items()}


def captions(summary: Summary) -> dict[str, str]:
    """workflow/report/captions.yaml with the counts of this study filled in."""
    cells = figures.own_task(summary.cells)
    clean = cells["shift"].eq("none")
    counts = {
        "seeds": _counted(cells["n_seeds"], "seed"),
        "episodes": _counted(cells.loc[clean, "n_episodes"], "episode"),
        "shift_episodes": _counted(cells.loc[~clean, "n_episodes"], "episode"),
        "bins": BINS,
        "fewest": reliability.FEWEST,
    }
    texts = yaml.safe_load((PAGE / "captions.yaml").read_text(encoding="utf-8"))
    return {name: text.format(**counts) for name, text in texts.items()}


def _counted(values: pd.Series, noun: str) -> str:
    if values.empty:
        return f"no {noun}s"
    low, high = int(values.min()), int(values.max())
    numbers = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{numbers} {noun}" + ("" if high == 1 else "s")


def render(**context) -> str:
    """Fill page.html.j2; style and script go into the page, so that it needs nothing else."""
    loader = jinja2.FileSystemLoader(PAGE)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(marker_path=marker_path, data_uri=data_uri, dataset_label=dataset_label)
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    page = environment.get_template("page.html.j2").render(
        style=style, script=script, sections=SECTIONS, **context
    )
    return shared_styles(page)
