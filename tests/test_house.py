"""The house: few entries per room, files of readable length, and answers where docs/map.md says they are."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.workspace import ROOT

LONGEST, ROOMS = 300, 12
WRITTEN_BY_HAND = {".py", ".smk", ".j2", ".js", ".css", ".md"}
QUESTION = re.compile(r"^\| (.+\?) \| `([^`]+)` \| `([^`]+)` \|$", re.M)
QUESTIONS = QUESTION.findall((ROOT / "docs" / "map.md").read_text())
ABSOLUTE = re.compile(r"""(?<![\w.:/])/(?:home|root|work|Users|tmp)/\w""")


def tracked() -> list[Path]:
    """Files of the project that git knows or would add."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def written() -> list[Path]:
    """Code, templates and pages. The README holds a generated table and is not among them."""
    yaml = [file for file in tracked() if file.suffix == ".yaml" and "workflow" in file.parts]
    found = [file for file in tracked() if file.suffix in WRITTEN_BY_HAND and file.name != "README.md"]
    return [*found, *yaml, ROOT / "Snakefile"]


def test_bench_has_few_entries():
    entries = {
        path.relative_to(ROOT / "bench").parts[0]
        for path in tracked()
        if "bench" == path.parts[len(ROOT.parts)]
    }
    assert len(entries) <= ROOMS, sorted(entries)


def test_no_file_is_too_long_to_read():
    lengths = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in written()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_file_knows_the_machine_it_was_written_on_or_waits_to_be_finished():
    unfinished = "TO" + "DO"
    for file in written():
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            assert unfinished not in line, f"{file.relative_to(ROOT)}:{number}: {line}"
            assert not ABSOLUTE.search(line), f"{file.relative_to(ROOT)}:{number}: {line}"


def test_the_map_answers_fifteen_questions():
    assert len(QUESTIONS) == len({question for question, _, _ in QUESTIONS}) == 15


@pytest.mark.parametrize("question, file, name", QUESTIONS)
def test_an_answer_is_where_the_map_says(question, file, name):
    assert name in names_in(ROOT / file)


def names_in(file: Path) -> set[str]:
    """Names that a Python file defines at its top level."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)
            }
    return names


def test_the_map_names_every_room():
    text = (ROOT / "docs" / "map.md").read_text()
    rooms = [path for path in (ROOT / "bench").iterdir() if (path / "__init__.py").exists()]
    assert {f"`bench/{room.name}/`" for room in rooms} <= set(re.findall(r"`[^`]+`", text))
