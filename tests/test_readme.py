"""The pages and READMEs of the reference results: from kept runs alone, with old records among them."""

import html
import json
import re
import shutil
from itertools import dropwhile, takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import __main__
from bench.report import records
from bench.report.figure import Figure
from bench.report.reference_table import _studies
from bench.report.summary import read_summary
from bench.results import reference_store
from bench.results.reference_list import listed_studies
from bench.results.run_folder import read_run, write_run, write_test
from bench.results.table_digests import record_digests
from tests.reference_runs import LEARNERS, ROOT, folder, kept, synthetic


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Tables, page and READMEs of kept runs: one without the metrics, calibration and record of younger versions."""
    root = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", "results")
        patch.delenv("REPORTS_ROOT", raising=False)
        patch.chdir(root)
        patch.setattr(
            Figure, "save", lambda self, folder: None
        )  # files beside the page: tested with the report
        list_file = str(synthetic(root).parent / "reference.yaml")
        shutil.rmtree(folder("maml", 1))
        for algorithm, seed in (("pixel_nn", 0), ("protonet", 0), ("protonet", 1), ("maml", 0)):
            reference_store.add_run(folder(algorithm, seed))
        _age(kept("maml", 0))
        assert __main__.main(["reference", list_file, "--report"]) == 0
        assert __main__.main(["readme", list_file]) == 0
        yield root


def _age(run: Path) -> None:
    """Leave what the oldest reference results have: one metric, no calibration, records without many keys."""
    result = read_run(run)
    frame = result.episodes()
    others = [name for name in ("nll", "brier", "confidence", "ece") if name in frame]
    write_bare = reference_store.write_episodes
    write_bare(run / "episodes.parquet", frame.assign(**dict.fromkeys(others, np.nan)), older=True)
    reference_store.write_calibration(run / "calibration.parquet", result.calibration().iloc[:0])
    (run / "history.parquet").unlink()
    write_run(run / "run.json", {k: v for k, v in result.run.items() if k != "made_from"} | {"files": {}})
    bare = {"seconds": None, "adapt_ms_per_task": None}
    names = ("episodes", "conditions")
    write_test(run / "test.json", {name: result.test[name] for name in names} | bare | {"files": {}})


def lines(text: str) -> dict[tuple, dict[str, str]]:
    """Rows of the first table of a text by their first two cells."""
    table = dropwhile(lambda line: not line.startswith("|"), text.splitlines())
    table = takewhile(lambda line: line.startswith("|"), table)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    return {tuple(row[:2]): dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_old_records_cost_their_cells_and_not_the_page(pages):
    tables = pages / "results/reference/synthetic/tables"
    cells, scores = pd.read_csv(tables / "cells.csv"), pd.read_csv(tables / "calibration_scores.csv")
    assert set(cells["algorithm"]) == set(LEARNERS) and set(scores["algorithm"]) == {"pixel_nn", "protonet"}
    page = html.unescape((pages / "reports/reference/synthetic/report.html").read_text())
    assert "4 of 6 planned runs have been made" in page and "MAML" in page
    assert 'src="http' not in page and (pages / "reports/reference/synthetic/tidy.parquet").exists()
    assert set(pd.read_csv(tables / "runs.csv")["status"]) == {
        "ok",
        "untrained",
    }  # what is not kept is not missing


def test_readmes_show_what_was_measured(pages):
    text = (pages / "README.md").read_text()
    assert text.startswith(
        "# A title\n\n<!-- findings:begin -->\nOmniglot 5-way 1-shot, learners compared within one study (`synthetic`):\n\n- Best: "
    )
    assert text.endswith("<!-- reference:end -->\n\nThe end.\n") and "\nold\n" not in text
    row = lines(text)["Prototypical networks", "inductive"]
    episodes = [read_run(pages / kept("protonet", seed)).episodes() for seed in (0, 1)]
    clean = [frame.query("shift == 'none' and mode == 'inductive'")["accuracy"] for frame in episodes]
    shifted = "shift == 'smear' and severity == 5 and scope == 'task' and mode == 'inductive'"
    smeared = [frame.query(shifted)["accuracy"] for frame in episodes]
    first = [part.iloc[: len(other)] for part, other in zip(clean, smeared, strict=True)]
    mean, hard, start = (100 * np.mean([part.mean() for part in parts]) for parts in (clean, smeared, first))
    for column, expected in {"clean": mean, "smeared": hard, "loss": start - hard}.items():
        assert float(row[column].split(" ")[0]) == pytest.approx(expected, abs=0.051)
    assert (row["published"], row["budget"], row["network"], row["seeds"]) == (
        "98.8",
        "not stated",
        "its own",
        "2",
    )
    assert lines(text)["MAML", "transductive"]["budget"] == "0.5 %"
    assert "Pixel nearest neighbour and MAML have been trained once" in text
    assert lines(text)["MAML", "transductive"]["clean"].endswith("*")
    full = lines((pages / "results/reference/README.md").read_text())
    assert (
        full["MAML", "inductive"]["published"] == "–" and full["MAML", "transductive"]["published"] == "98.7"
    )
    assert (
        full["Pixel nearest neighbour", "inductive"]["training"] == "none"
        and full["chance", ""]["5-way 1-shot"] == "20.0"
    )
    assert full["MAML", "transductive"]["trained at"] == "0000000"


def test_a_changed_table_makes_readmes_and_figures_stale(pages, monkeypatch, capsys):
    monkeypatch.chdir(pages)
    monkeypatch.setenv("RESULTS_ROOT", "results")
    arguments = ["readme", "config/reference.yaml"]
    assert __main__.main([*arguments, "--check"]) == 0
    cells = Path("results/reference/synthetic/tables/cells.csv")
    before, figure = cells.read_text(), Path("results/reference/figures/shifted.svg").read_bytes()
    assert (
        __main__.main(arguments) == 0 and Path("results/reference/figures/shifted.svg").read_bytes() == figure
    )
    by_hand = Path("README.md")
    by_hand.write_text(by_hand.read_text().replace("# A title", "# Another title"))
    assert __main__.main([*arguments, "--check"]) == 0, "text around the generated parts is free"
    table, recorded = pd.read_csv(cells), cells.with_name("summarize.json")
    digests = recorded.read_text()
    table.loc[table["algorithm"].eq("protonet"), "mean"] -= 0.1
    table.to_csv(cells, index=False)
    record_digests(cells.parent, "summarize", json.loads(digests))  # else the edit is told as damage
    capsys.readouterr()
    assert __main__.main([*arguments, "--check"]) == 1
    told = capsys.readouterr().err
    assert all(name in told for name in ("README.md", "headline.svg", "shifted.svg", "make readme"))
    cells.write_text(before)
    recorded.write_text(digests)


def test_readme_without_results_or_markers(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    study = synthetic(tmp_path)
    list_file = str(study.parent / "reference.yaml")
    assert __main__.main(["readme", list_file]) == 0
    assert Path("README.md").read_text().count("There are no reference results yet") == 2
    assert __main__.main(["readme", list_file, "--check"]) == 0
    Path("README.md").write_text("no markers")
    assert __main__.main(["readme", list_file]) == 2


def test_the_readmes_of_this_project_are_up_to_date(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("RESULTS_ROOT", "REPORTS_ROOT"):
        monkeypatch.delenv(name, raising=False)
    assert __main__.main(["readme", "--check"]) == 0, "run `make readme` and commit what it wrote"


def test_the_tables_and_sentences_of_this_project_are_those_of_its_episodes(monkeypatch):
    """ProtoNet and MAML, clean and under the hardest shifts, computed again from the kept episodes."""
    root = ROOT / "results/reference/omniglot_cpu"
    cells = pd.read_csv(root / "tables/cells.csv").query("way == 5 and shot == 1 and metric == 'accuracy'")
    for algorithm, mode in (("protonet", "inductive"), ("maml", "transductive")):
        runs = [
            read_run(path.parent)
            for path in sorted(root.glob(f"omniglot/5way_1shot/{algorithm}/seed*/run.json"))
        ]
        parts = [
            run.episodes().query(f"test_tasks == 'standard' and test_steps == -1 and mode == '{mode}'")
            for run in runs
        ]
        means = [part[part["shift"].eq("none")]["accuracy"].mean() for part in parts]
        row = cells.query(
            f"algorithm == '{algorithm}' and mode == '{mode}' and shift == 'none' and test_tasks == 'standard' and test_steps == -1"
        ).iloc[0]
        assert row["mean"] == pytest.approx(np.mean(means), abs=1e-5)
    text = (ROOT / "README.md").read_text()
    title, told = re.search(r"the best is ([^,]+), ([0-9.]+) %", text).groups()
    losses = pd.read_csv(root / "tables/losses.csv").query(
        "way == 5 and shot == 1 and scope == 'task' and mode == 'reported' and kind == 'learner'"
    )
    best = losses.sort_values("mean").iloc[-1]
    assert (title, float(told)) == (best["title"], pytest.approx(100 * best["mean"], abs=0.051))


def test_what_mends_a_loss_is_that_of_the_table_of_the_study_that_is_named():
    (sentence,) = re.findall("- (What mends a loss.*)", (ROOT / "README.md").read_text())
    told = re.findall(
        r"\(([−\d.]+) of ([−\d.]+) points, 95 % interval ([−\d.]+) to ([−\d.]+), (\d+) learner", sentence
    )
    study = re.search("Study `(.*?)`", sentence)[1]
    rows = pd.read_csv(ROOT / "results/reference" / study / "tables/separation.csv").query(
        "dataset == 'omniglot' and way == 5 and shot == 1 and shift == 'all' and algorithm == 'all' and scope == 'task'"
    )
    assert told and len(told) == rows["part"].nunique()
    longest = [part.sort_values("steps").iloc[-1] for _, part in rows.groupby("part")]
    for numbers, row in zip(told, sorted(longest, key=lambda row: -row["mended"]), strict=True):
        expected = [
            100 * row["mended"],
            -100 * row["change"],
            100 * row["mended_low"],
            100 * row["mended_high"],
        ]
        values = [float(text.replace("−", "-")) for text in numbers]
        assert values == pytest.approx([*expected, row["n_algorithms"]], abs=0.051)


def test_a_row_from_another_study_than_the_sentences_names_it():
    rows = pd.DataFrame(
        [("MAML", "first"), ("Relation Network", "longer"), ("SNAIL", "longer")], columns=["title", "study"]
    )
    assert _studies(rows, "first").endswith("above, but Relation Network and SNAIL from `longer`.")
    assert _studies(rows[:1], "first") == ""


def test_a_published_value_stands_beside_its_own_method_and_the_split_is_named():
    text = (ROOT / "results/reference/README.md").read_text()
    (row,) = re.findall(r"\| Baseline\+\+ head on Baseline's features \| inductive \|[^|]*\|([^|]*)\|", text)
    assert row.strip() == "–", "48.2 is that of features trained with the cosine classifier"
    for page in (text, (ROOT / "README.md").read_text()):
        assert "Vinyals' lists, with whole alphabets apart" in page


def test_the_pages_of_this_project_are_small_and_open_without_a_network():
    pages = list((ROOT / "reports/reference").glob("*/report.html"))
    assert pages and not [
        page for page in pages if re.search('(src|href)="https?://[^"]*[.](js|css|png)"', page.read_text())
    ]
    files = [path for path in (ROOT / "reports/reference").glob("*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8e6


def test_the_figure_of_this_project_shows_the_shifted_accuracies_of_its_sentences():
    """The open marks: over the shifts that all seeds of all learners have, like the table of losses."""
    page = (ROOT / "reports/reference/omniglot_cpu/report.html").read_text()
    drawn = re.search(r'aria-label="Omniglot 5-way 1-shot: ([^"]*)"', page)[1]
    losses = pd.read_csv(ROOT / "results/reference/omniglot_cpu/tables/losses.csv")
    rows = losses.query(
        "way == 5 and shot == 1 and scope == 'task' and mode == 'reported' and kind == 'learner'"
    )
    assert len(rows) > 20
    for row in rows.itertuples():
        shown = re.search(
            rf"{re.escape(row.title)} [\d.]+ \([^)]*\), under the hardest shifts (\d+\.\d)", drawn
        )
        assert float(shown[1]) == pytest.approx(100 * row.mean, abs=0.051), row.title


def test_the_record_table_is_that_of_the_learning_curves(pages, monkeypatch):
    """Median CPU time and tasks of the kept runs to a level that one of two runs reaches, and to one that both reach."""
    monkeypatch.chdir(pages)
    study = listed_studies(next(pages.rglob("reference.yaml")))[0]
    with reference_store.reference_results():
        summary = read_summary(study)
    curves = {seed: pd.read_parquet(kept("protonet", seed) / "history.parquet") for seed in (0, 1)}
    best = sorted(curve["val_score"].max() for curve in curves.values())
    monkeypatch.setattr(records, "LEVELS", tuple(best))
    firsts = {
        (level, seed): curve[curve["val_score"].ge(level)].iloc[0]
        for level in best
        for seed, curve in curves.items()
        if curve["val_score"].max() >= level
    }
    spent = {seed: read_run(kept("protonet", seed)).run["training"] for seed in (0, 1)}
    row = next(
        row for row in records.record_table(summary).rows if row.cells[0].text == "Prototypical networks"
    )
    for place, level in enumerate(best):
        time, tasks, runs = row.cells[2 + 3 * place : 5 + 3 * place]
        there = [seed for seed in (0, 1) if (level, seed) in firsts]
        assert runs.text == f"{len(there)} of 2"
        assert tasks.value == np.median([firsts[level, seed]["tasks"] for seed in there])
        times = [spent[s]["cpu_seconds"] * firsts[level, s]["step"] / spent[s]["steps"] for s in there]
        assert time.value == pytest.approx(np.median(times))
