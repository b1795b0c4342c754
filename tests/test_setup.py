"""Set-up: one place for every version, nothing imported that is not pinned, a Makefile that says what is wrong."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
HOOK = "tasks/preparation/torchvision_import.py"
OURS = {"algos", "bench", "benchmarks", "tasks", "tests"}


def pins(file: str) -> dict[str, str]:
    """Package -> version of a requirements file, whose every line must be `package==version`."""
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    found = [re.fullmatch(r"([a-z0-9-]+)==([0-9.]+)", line).groups() for line in lines if line]
    assert len(found) == len(dict(found)), f"{file} pins a package twice"
    return dict(found)


def all_pins() -> dict[str, str]:
    """Package -> version of all requirements files; no package is pinned twice."""
    files = [pins(f"requirements{part}.txt") for part in ("", "-tests", "-nodeps")]
    union = files[0] | files[1] | files[2]
    assert len(union) == sum(map(len, files))
    return union


def test_conda_users_get_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    packages = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert dict(entry.split("==") for entry in packages) == pins("requirements.txt") | pins(
        "requirements-tests.txt"
    )


def test_the_environment_has_the_pinned_versions():
    pinned = all_pins()
    installed = {
        name: version(name).split("+")[0] for name in pinned
    }  # torch's version ends with its build: +cpu
    assert installed == pinned


def test_every_imported_package_is_pinned():
    """The benchmark itself, without the packages for tests and style."""
    runtime = pins("requirements.txt") | pins("requirements-nodeps.txt")
    distributions = packages_distributions()
    for folder in OURS:
        pinned = all_pins() if folder in ("tests", "benchmarks") else runtime
        files = ROOT.glob(f"{folder}/**/*.py")
        for file in [path for path in files if "cases" not in path.parts]:  # cases hold the files of users
            for module in imported(file) - OURS - sys.stdlib_module_names:
                names = {name.lower().replace("_", "-") for name in distributions.get(module, [])}
                assert names & set(pinned), f"{file.relative_to(ROOT)} imports {module}, which is not pinned"


def test_only_the_adapter_knows_torchmeta():
    nodeps = set(pins("requirements-nodeps.txt")) - {"easyfsl"}
    users = {str(file.relative_to(ROOT)) for file in ROOT.glob("[abt]*/**/*.py") if imported(file) & nodeps}
    assert all("torchmeta" in name for name in users), users


def imported(file: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {
        name.split(".")[0]
        for name in plain | {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    }


@pytest.mark.parametrize(
    "path, ignored",
    [
        ("data/prepared/omniglot/images.npy", True),
        ("data/downloads/images_background.zip", True),
        ("results/quick/study.yaml", True),
        ("reports/quick/report.html", True),
        ("logs/quick/train.log", True),
        (".venv/bin/python", True),
        (".snakemake/log/x.log", True),
        ("results/reference/table.csv", False),
        ("data/splits/omniglot_vinyals.json", False),
        ("data/sources.yaml", False),
    ],
)
def test_git_ignores_outputs_but_not_the_reference(path, ignored):
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "check-ignore", "--quiet", "--no-index", path]
    assert (subprocess.run(command, cwd=ROOT).returncode == 0) == ignored


def test_the_project_installs_as_a_command_with_its_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, function = project["project"]["scripts"]["metabench"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    listed = project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]
    lines = [line for file in listed for line in (ROOT / file).read_text().splitlines()]
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in kept), (
        "setuptools knows no comment at the end of a line"
    )
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {"algos*", "bench*", "tasks*"} <= set(found)


def test_the_citation_has_the_version_and_a_date():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert citation["version"] == version and citation["date-released"].year >= 2026
    assert f"version = {{{version}}}" in (ROOT / "docs" / "reproduce.md").read_text()


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """make in a folder, without what the make around these tests has put into the environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path) -> Path:
    for name in ("Makefile", "requirements.txt", "requirements-tests.txt", "requirements-nodeps.txt", HOOK):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_make_refuses_an_old_python_with_a_remedy(checkout):
    old = checkout / "python3.8"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(checkout, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert "not Python 3.11 or newer" in done.stdout and "make PYTHON=" in done.stdout
    assert not (checkout / ".venv").exists()


def test_make_installs_again_only_when_a_pin_has_changed(checkout):
    assert "pip install" in make(checkout, "-n", "setup").stdout
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "ready").touch()
    assert "pip install" not in make(checkout, "-n", "setup").stdout
    later = (checkout / ".venv" / "ready").stat().st_mtime + 1
    os.utime(checkout / "requirements-nodeps.txt", (later, later))
    assert "pip install" in make(checkout, "-n", "setup").stdout


def test_ci_and_readme_use_the_same_commands():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"^make (\w+)", readme, re.M))
    assert "test" in named and named <= targets


def test_readme_has_room_for_the_generated_table():
    readme = (ROOT / "README.md").read_text()
    assert 0 < readme.index("<!-- reference:begin -->") < readme.index("<!-- reference:end -->")


def test_torchvision_can_be_imported_beside_a_torch_that_it_was_not_compiled_for(tmp_path):
    """`make setup` copies the hook into the environment; a copy on the path does the same for one process."""
    (tmp_path / "_torchvision_import.py").write_text((ROOT / HOOK).read_text())
    code = (
        "import _torchvision_import, sys; assert 'torch' not in sys.modules; import torch, torchvision.models as m; "
        "print(m.resnet18(num_classes=5).eval()(torch.zeros(1, 3, 32, 32)).shape[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "5\n", done.stderr
    assert "$(BIN)/python $(TORCHVISION)" in (ROOT / "Makefile").read_text()
