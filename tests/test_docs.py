"""The code of docs/extend.md, applied to a copy of the project and run there: it works as written."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.workspace import ROOT, Workspace

BLOCK = re.compile(r"^```(python|diff)\n# (\S+)\n(.*?)^```$", re.M | re.S)
STUDY = {
    "datasets": {"stars": {"ways": [5], "shots": [1]}},
    "algorithms": ["pixel_prototypes"],
    "shifts": {"episodes": 4, "scopes": ["task"], "severities": {"haze": [1, 5]}},
    "experiments": {"episodes": 4, "first_classes": True},
}
TABLES = "results/tiny/tables"


def apply(text: str, folder: Path) -> None:
    """Save each Python block as the file that it names and make each change; a change must fit exactly one place."""
    for language, name, code in BLOCK.findall(text):
        file = folder / name
        if language == "python":
            assert not file.exists(), f"{name} exists already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)
        else:
            before, after = (
                "".join(line[1:] for line in code.splitlines(keepends=True) if line[0] in f" {sign}")
                for sign in "-+"
            )
            assert file.read_text().count(before) == 1, f"{name} does not hold once:\n{before}"
            file.write_text(file.read_text().replace(before, after))


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Workspace:
    """A copy with all extensions of the page, in which a small study of them has been run to its report."""
    workspace = Workspace(tmp_path_factory.mktemp("extended"))
    apply((ROOT / "docs" / "extend.md").read_text(), workspace.folder)
    done = workspace.do(workspace.study(**STUDY))
    assert done == {"prepare", "train", "test", "pictures", "summarize", "claims", "report"}
    return workspace


@pytest.fixture(scope="module")
def promises(extended) -> str:
    """Names of the tests that the learner and the shift of the page pass: one process, which imports all once."""
    files = ("tests/test_contract.py", "tests/test_shifts.py")
    return python(extended, "-m", "pytest", "-v", "-x", *files, "-k", "pixel_prototypes or haze")


def python(workspace: Workspace, *arguments: str) -> str:
    """Output of `python ARGUMENTS` in the copy, which must succeed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cells(workspace: Workspace) -> pd.DataFrame:
    return pd.read_csv(workspace.folder / TABLES / "cells.csv")


def clean(workspace: Workspace, metric: str) -> float:
    """Mean of a metric on tasks as trained for."""
    rows = cells(workspace).query("shift == 'none' and test_tasks == 'standard' and metric == @metric")
    return rows["mean"].item()


def test_every_block_of_code_is_tested():
    text = (ROOT / "docs" / "extend.md").read_text()
    assert len(BLOCK.findall(text)) == text.count("\n```") // 2


def test_links_of_the_pages_lead_somewhere():
    for page in [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "config" / "README.md"]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_data_set_is_prepared_and_described(extended):
    card = (extended.folder / "data" / "prepared" / "stars" / "card.md").read_text()
    assert "60 classes x 20 images" in card and "| default (default) | train | 40 |" in card


def test_the_algorithm_is_listed_and_trained(extended):
    assert " pixel_prototypes " in python(extended, "-m", "bench", "list")
    assert set(cells(extended)["algorithm"]) == {"pixel_prototypes"}
    assert clean(extended, "accuracy") > 0.2


def test_the_algorithm_keeps_the_contract(promises):
    assert re.search(r"test_the_planted_problem_is_solved\[pixel_prototypes\] PASSED", promises), promises
    assert re.search(r"test_a_batch_of_tasks_equals_one_by_one\[False-pixel_prototypes\] PASSED", promises), (
        promises
    )


def test_the_shift_is_measured_and_keeps_what_shifts_keep(extended, promises):
    assert {1, 5} <= set(cells(extended).query("shift == 'haze'")["severity"])
    assert re.search(r"test_shifts\.py::\w+\[.*haze.*\] PASSED", promises), promises


def test_the_metric_is_measured_in_every_episode_and_summed_up(extended):
    run = extended.folder / "results" / "tiny" / "stars" / "5way_1shot" / "pixel_prototypes" / "seed0"
    episodes = pd.read_parquet(run / "episodes.parquet")
    assert (episodes["top2"] >= episodes["accuracy"] - 1e-6).all() and episodes["top2"].max() <= 1
    expected = episodes.query("shift == 'none' and test_tasks == 'standard'")["top2"].mean()
    assert clean(extended, "top2") == pytest.approx(expected, abs=1e-4)


def test_the_experiment_is_measured_and_labelled(extended):
    found = cells(extended).query("test_tasks == 'first' and metric == 'accuracy'")
    assert found["n_episodes"].item() == 4 and 0 <= found["mean"].item() <= 1
    assert "The first classes" in (extended.folder / "reports" / "tiny" / "report.html").read_text()


def test_the_section_is_in_the_page_and_beside_it(extended):
    reports = extended.folder / "reports" / "tiny"
    page = (reports / "report.html").read_text()
    assert 'id="speed"' in page and 'id="figure-speed"' in page
    assert page.index('id="cost"') < page.index('id="speed"')
    assert (
        (reports / "tables" / "speed.csv")
        .read_text()
        .startswith("Setting,Algorithm,Tasks/s\nStars 5-way 1-shot,Pixel")
    )
    assert (reports / "figures" / "speed.svg").exists()
