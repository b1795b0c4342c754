"""The profile for clusters, on a real SLURM of one node that tests/slurm/start brings up: same results as a local run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace import ROOT, Workspace

SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
RUN = "glyphs/5way_1shot/protonet/seed0"
# One CPU node, and nobody here wants to wait the 40 s after which the plugin first asks for a job's state.
OPTIONS = ["--set-resources", "train:gpu=0", "test:gpu=0", "--slurm-init-seconds-before-status-checks", "2"]


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


def test_a_study_on_slurm_gives_the_files_of_a_local_run(slurm, tmp_path):
    workspace = Workspace(tmp_path)
    files = {
        name: workspace.study(f"{name}.yaml", study=name, algorithms=["protonet"])
        for name in ("local", "cluster")
    }
    targets = {name: f"results/{name}/{RUN}/episodes.parquet" for name in files}
    workspace.snakemake(targets["local"], "--configfile", files["local"])
    printed = workspace.snakemake(
        *(
            targets["cluster"],
            "--workflow-profile",
            "profiles/slurm",
            "--configfile",
            files["cluster"],
            *OPTIONS,
        ),
        **slurm,
    )
    assert "executor slurm, profile profiles/slurm" in printed
    assert (
        printed.count("has been submitted with SLURM jobid") == 2
    )  # train and test; data sets are prepared locally
    for name in ("model.safetensors", "episodes.parquet"):
        local, cluster = (tmp_path / "results" / study / RUN / name for study in files)
        assert local.read_bytes() == cluster.read_bytes(), name
