"""A new section is one new file, and a report needs no torch: both in a copy of the code, each in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study

ROOT = Path(__file__).parents[1]
CODE = ("algos", "bench", "tasks", "workflow", "config", "data/published.csv", "data/finn_levine_2018.csv")
SECTION = '''"""How many seeds each learner has."""

from bench.report.summary import Summary
from bench.report.table import Cell, Column, Row, Table, text_columns, words

ID, TITLE, ORDER = "seeds", "Seeds of each learner", 15


def tables(summary: Summary) -> list[Table]:
    counts = summary.runs.groupby("title")["seed"].nunique()
    rows = [Row([*words(title), Cell(str(n), n)]) for title, n in counts.items()]
    caption = "A study of {seeds}."
    return [Table("seeds", TITLE, [*text_columns("Algorithm"), Column("Seeds")], rows, caption=caption)]
'''


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A copy of the code with one more section, and the report that it wrote without torch."""
    root = tmp_path_factory.mktemp("copy")
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, root / name)
    (root / "bench" / "report" / "sections" / "seeds.py").write_text(SECTION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        path = make_study(root, algorithms=("protonet", "maml"), shifts={"smear": (1,)}, episodes=20)
        summarize(load_study(path))
        write_claims(load_study(path))
    unset = {key: value for key, value in os.environ.items() if not key.endswith("_ROOT")}
    script = (
        "import sys; from bench.__main__ import main; code = main(['report', sys.argv[1]]); "
        "print(sorted({'torch', 'kornia'} & set(sys.modules))); sys.exit(code)"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, cwd=root, env=unset, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]", "modules of torch were loaded"
    return root / "reports" / "synthetic"


def test_a_new_file_is_a_new_section(report):
    page = (report / "report.html").read_text()
    assert '<a href="#seeds">Seeds of each learner</a>' in page and 'id="table-seeds"' in page
    assert (
        page.index('<section id="result"')
        < page.index('<section id="seeds"')
        < page.index('<section id="table"')
    )
    assert "A study of 2 seeds." in page


def test_its_table_is_written_as_files(report):
    assert (
        report / "tables" / "seeds.csv"
    ).read_text() == "Algorithm,Seeds\nMAML,2\nPrototypical networks,2\n"
    assert (report / "tables" / "seeds.md").exists() and (report / "tables" / "seeds.tex").exists()


def test_without_pictures_the_page_says_how_to_draw_them(report):
    assert "python -m bench pictures" in (report / "report.html").read_text()
