"""Reference results: what they hold, in which order it is made, and the README that shows it."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import __main__
from bench.results import reference_store
from bench.results.files import ResultError, write_text
from bench.results.run_folder import read_run
from bench.verbs import readme, reference
from tests.synthetic import make_study

ROOT = Path(__file__).parents[1]
DIVERGED = "omniglot/5way_1shot/maml/seed1"
EMPTY = "# A title\n\n<!-- reference:begin -->\nold\n<!-- reference:end -->\n\nThe end.\n"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Finished runs on a data set with published values; the working directory has a README to fill."""
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text(EMPTY)
    return make_study(
        tmp_path,
        algorithms=("pixel_nn", "protonet", "maml"),
        datasets={"omniglot": {"ways": [5], "shots": [1]}},
        shifts={"smear": (1, 5)},
        diverged=[DIVERGED],
    )


def folder(algorithm, seed):
    return Path("results/synthetic/omniglot/5way_1shot") / algorithm / f"seed{seed}"


def add_all():
    for algorithm in ("pixel_nn", "protonet", "maml"):
        for seed in (0, 1):
            reference_store.add_run(folder(algorithm, seed))


def test_a_reference_result_has_a_row_per_condition_and_its_values(study):
    path = reference_store.add_run(folder("protonet", 0))
    table = reference_store.load_reference()
    assert list(table) == reference_store.COLUMNS
    assert len(table) == 2 * (1 + 2 * 2)  # modes, clean and two severities in two scopes
    source = read_run(folder("protonet", 0))
    clean = table[(table["shift"] == "none") & table["paper_mode"]].iloc[0]
    values = source.episodes().query("shift == 'none' and mode == 'inductive'")["accuracy"].to_numpy(float)
    assert clean["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert clean["half_width"] == pytest.approx(1.96 * values.std(ddof=1) / np.sqrt(200), rel=1e-4)
    assert (clean["steps"], clean["tasks"], clean["budget_share"], clean["device"]) == (
        600,
        9600,
        0.005,
        "cpu",
    )
    stored = pd.read_parquet(path)
    pd.testing.assert_series_equal(stored["accuracy"], source.episodes()["accuracy"])
    assert path.stat().st_size < 60_000
    assert path.with_suffix(".json").read_text() == (folder("protonet", 0) / "run.json").read_text()


def test_adding_is_idempotent_and_independent_of_the_order(study):
    add_all()
    table = Path("results/reference/results.csv")
    before = table.read_bytes()
    for algorithm, seed in (("maml", 1), ("protonet", 0), ("pixel_nn", 1)):
        reference_store.add_run(folder(algorithm, seed))
    assert table.read_bytes() == before
    diverged = reference_store.load_reference().query("algorithm == 'maml' and seed == 1")
    assert len(diverged) == 1 and diverged["status"].item() == "diverged" and diverged["mean"].isna().item()


def test_unfinished_or_incomparable_runs_are_not_added(study, capsys):
    (folder("maml", 0) / "test.json").unlink()
    assert __main__.main(["reference", "--add", str(folder("maml", 0))]) == 2
    assert "maml/seed0 is untested" in capsys.readouterr().err
    reference_store.add_run(folder("protonet", 0))
    test = folder("protonet", 1) / "test.json"
    test.write_text(test.read_text().replace("omniglot-5-1-0", "other"))
    with pytest.raises(ResultError, match="episodes_digest other differs from omniglot-5-1"):
        reference_store.add_run(folder("protonet", 1))


def write_list(study, *runs):
    lines = [f"- {{study: {study}, run: {run}}}" for run in runs]
    path = study.parent / "reference.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_list_resumes_where_it_stopped(study, monkeypatch, capsys):
    """Order of priority, only the jobs that are left, a failure does not stop the others."""
    (folder("protonet", 0) / "test.json").unlink()
    for file in folder("protonet", 1).iterdir():
        file.unlink()
    runs = [f"omniglot/5way_1shot/{name}" for name in ("pixel_nn/seed0", "protonet/seed1", "protonet/seed0")]
    path = write_list(study, *runs)
    called = []

    def call(command):
        called.append(command[3:])
        if command[3] == "test" and command[5] == runs[2]:
            source = folder("pixel_nn", 1) / "test.json"
            (folder("protonet", 0) / "test.json").write_text(source.read_text())
        return 1 if command[3] == "train" else 0

    monkeypatch.setattr(reference, "call", call)
    monkeypatch.setattr(reference, "is_prepared", lambda name: False)
    assert __main__.main(["reference", str(path)]) == 1
    assert called == [
        ["prepare", "omniglot"],
        ["train", str(study), runs[1]],
        ["test", str(study), runs[2]],
    ]
    assert "protonet/seed1 failed" in capsys.readouterr().err
    assert len(reference_store.run_keys(reference_store.load_reference())) == 2
    called.clear()
    monkeypatch.setattr(reference, "call", lambda command: called.append(command[3]) or 130)
    monkeypatch.setattr(reference, "is_prepared", lambda name: True)
    assert __main__.main(["reference", str(path)]) == 130
    assert called == ["train"]
    assert __main__.main(["reference", str(path), "--list"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 done" in shown and shown.count("pending") == 1


def test_a_signal_is_passed_on_once_and_waited_for(tmp_path):
    """The child ends in its own time, as a training does that saves a checkpoint."""
    script = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n    time.sleep(0.3); pathlib.Path('saved').write_text('x'); sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, stop)\npathlib.Path('ready').write_text('x')\ntime.sleep(60)\n"
    )

    def send_when_ready():
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        threading.Thread(target=send_when_ready).start()
        assert reference.call([sys.executable, "-c", script]) == 130
    finally:
        os.chdir(before)
    assert (tmp_path / "saved").exists()
    assert reference.call([sys.executable, "-c", "raise SystemExit(3)"]) == 3


def test_bad_lists_are_refused(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- {study: config/quick.yaml, runs: x}\n")
    with pytest.raises(ValueError, match="list.yaml: entry 0: "):
        reference.read_list(path)
    with pytest.raises(FileNotFoundError, match="nothing.yaml"):
        reference.read_list(tmp_path / "nothing.yaml")


def test_readme_shows_measured_beside_published_and_is_checked(study, capsys):
    add_all()
    assert __main__.main(["readme", "--check"]) == 1
    assert "README.md" in capsys.readouterr().err and Path("README.md").read_text() == EMPTY
    assert __main__.main(["readme"]) == 0
    assert __main__.main(["readme", "--check"]) == 0
    text = Path("README.md").read_text()
    assert text.startswith("# A title\n\n<!-- reference:begin -->\n**Omniglot**")
    assert text.endswith("<!-- reference:end -->\n\nThe end.\n") and "old" not in text
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")
    ]
    assert rows[0] == ["Algorithm", "Mode", "5-way 1-shot", "published", "seeds", "training", "budget"]
    by_name = {(row[0], row[1]): row for row in rows[2:]}
    maml = by_name["MAML", "transductive"]
    assert maml[2].endswith("* (1 diverged)") and maml[3] == "98.7" and maml[4:] == ["1", "58 s CPU", "0.5 %"]
    assert by_name["MAML", "inductive"][3] == "–"
    assert by_name["Pixel nearest neighbour", "inductive"][4:] == ["2", "none", ""]
    assert by_name["chance", ""][2] == "20.0"
    measured = by_name["Prototypical networks", "inductive"][2]
    table = reference_store.load_reference().query(
        "algorithm == 'protonet' and shift == 'none' and mode == 'inductive'"
    )
    assert float(measured.split(" ± ")[0]) == pytest.approx(100 * table["mean"].mean(), abs=0.051)


def test_a_changed_result_makes_readme_and_figure_stale(study, capsys):
    reference_store.add_run(folder("protonet", 0))
    assert __main__.main(["readme"]) == 0
    figure = Path("results/reference/figures/headline.svg")
    before = figure.read_bytes()
    assert __main__.main(["readme"]) == 0 and figure.read_bytes() == before
    reference_store.add_run(folder("protonet", 1))
    assert __main__.main(["readme", "--check"]) == 1
    assert "README.md and results/reference/figures/headline.svg" in capsys.readouterr().err.replace(
        f"{Path.cwd()}/", ""
    )
    assert __main__.main(["readme"]) == 0 and figure.read_bytes() != before


def test_the_study_closest_to_the_published_budget_counts(study):
    reference_store.add_run(folder("protonet", 0))
    table = Path("results/reference/results.csv")
    longer = reference_store.load_reference().assign(study="longer", budget_share=0.5)
    longer["mean"] += 0.01
    write_text(table, pd.concat([reference_store.load_reference(), longer]).to_csv(index=False))
    values = Path("results/reference/episodes")
    (values / "longer").symlink_to((values / "synthetic").absolute())
    rows = readme.headline(reference_store.load_reference())
    assert set(rows["budget_share"]) == {0.5} and len(rows) == 2


def test_readme_without_results_or_markers(study):
    assert __main__.main(["readme"]) == 0
    assert "There are no reference results yet" in Path("README.md").read_text()
    assert __main__.main(["readme", "--check"]) == 0
    Path("README.md").write_text("no markers")
    assert __main__.main(["readme"]) == 2


def test_this_readme_is_up_to_date(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("RESULTS_ROOT", raising=False)
    assert __main__.main(["readme", "--check"]) == 0, "run `python -m bench readme` and commit README.md"


def test_the_list_of_this_project_names_runs_that_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    entries = reference.read_list(Path("config/reference.yaml"))
    names = [entry.run.name for entry in entries]
    assert (
        len({(entry.study_file, name) for entry, name in zip(entries, names, strict=True)})
        == len(entries)
        > 0
    )
