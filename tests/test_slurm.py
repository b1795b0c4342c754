"""The profile for clusters, on a real SLURM of one node that tests/slurm/start brings up: same results as a local run."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.planted import bench
from tests.workspace import ROOT, Workspace

SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
RUN = "glyphs/5way_1shot/protonet/seed0"
# One CPU node, and nobody here wants to wait the 40 s after which the plugin first asks for a job's state.
OPTIONS = ["--set-resources", "train:gpu=0", "test:gpu=0", "--slurm-init-seconds-before-status-checks", "1"]


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """Environment in which SLURM's commands talk to a running SLURM."""
    missing = [
        name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name, path=SBIN)
    ]
    if missing:
        pytest.skip(f"needs SLURM, here without {', '.join(missing)}: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("needs root: slurmd starts jobs as their users")
    folder = Path(
        tempfile.mkdtemp(prefix="slurm-")
    )  # not tmp_path: the path of a socket has 107 characters at most
    subprocess.run([ROOT / "tests" / "slurm" / "start", folder], check=True)
    yield {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run([ROOT / "tests" / "slurm" / "stop", folder], check=True)


def test_a_study_on_slurm_resumes_after_a_signal_and_gives_the_files_of_a_local_run(
    slurm, tmp_path, monkeypatch
):
    workspace = Workspace(tmp_path)
    long = {"steps": 200, "validate_every": 10, "validation_episodes": 8, "device": "cpu"}
    study = workspace.study("cluster.yaml", study="cluster", algorithms=["protonet"], train=long)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "local"))
    assert bench("train", tmp_path / study, RUN) == bench("test", tmp_path / study, RUN) == 0
    target = f"results/cluster/{RUN}/episodes.parquet"
    arguments = (target, "--workflow-profile", "profiles/slurm", "--configfile", study)
    process = subprocess.Popen(
        workspace.command(*arguments, *OPTIONS),
        cwd=tmp_path,
        env=workspace.environment | slurm,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        signal_training(tmp_path / "logs" / "cluster" / "train" / f"{RUN}.log", slurm)
        printed = process.communicate(timeout=1200)[0]
    finally:
        process.kill()
    assert process.returncode == 0, printed
    assert "executor slurm, profile profiles/slurm" in printed
    assert "slurm_extra=--signal=TERM@60" in printed
    # Train, train again, test; data sets are prepared locally.
    assert printed.count("has been submitted with SLURM jobid") == 3, printed
    resumed = (tmp_path / "logs" / "cluster" / "train" / f"{RUN}.log").read_text()
    assert re.search(r"resuming from step [1-9]", resumed), resumed
    for name in ("model.safetensors", "episodes.parquet"):
        local, cluster = (tmp_path / root / "cluster" / RUN / name for root in ("local", "results"))
        assert local.read_bytes() == cluster.read_bytes(), name


def signal_training(log: Path, slurm: dict[str, str]) -> None:
    """What SLURM does a minute before the time limit: SIGTERM to every process of the first job's step."""
    end = time.monotonic() + 600
    while not (log.exists() and "step" in log.read_text()):
        assert time.monotonic() < end, "the training has not begun"
        time.sleep(0.05)
    subprocess.run(["scancel", "--signal=TERM", "1"], check=True, env=os.environ | slurm)
