"""What verbs cost as a study grows: `python -m tests.scale 1000 2000` makes so many runs, without training, and measures each verb.

CPU seconds and memory of one process per verb; wall time is left out, because machines are shared.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.protocol.outdated import Outdated, made_from_of_test
from bench.results.digests import digest_of, file_digest
from bench.results.run_folder import read_run
from bench.results.schema import TEST_FILES, TRAINING_FILES
from bench.study.run import Run
from bench.study.study import Study, load_study
from tests.synthetic_learners import FACTS

CELLS = {
    "glyphs": {"ways": [5, 20], "shots": [1, 5]},
    "omniglot": {"ways": [5, 20], "shots": [1, 5]},
    "miniimagenet": {"ways": [5], "shots": [1, 5]},
}
RUNS_PER_SEED = 10 * len(FACTS)
VERBS = {
    "status": ["-m", "bench", "status"],
    "plan": ["-m", "snakemake", "-n", "--quiet", "all", "--configfile"],
    "summarize": ["-m", "bench", "summarize"],
    "claims": ["-m", "bench", "claims"],
    "report": ["-m", "bench", "report"],
}


def grown_study(root: Path, runs: int) -> Path:
    """Write a study of so many finished runs (a multiple of `RUNS_PER_SEED`), each of 600 episodes, that nothing makes outdated."""
    from tests.synthetic import make_study  # here, because it imports torch: `measure` must not

    os.environ.update(roots(root))
    seeds = range(runs // RUNS_PER_SEED)
    file = make_study(
        root, f"runs{runs}", FACTS, CELLS, seeds, {"smear": [3], "shear": [3]}, scopes=["task"], shift_episodes=100,
        episodes=100,
    )  # fmt: skip
    study = load_study(file)
    outdated = Outdated(study)
    for run in study.runs():
        sign(study, run, outdated)
    return file


def sign(study: Study, run: Run, outdated: Outdated) -> None:
    """Record what a run was made from and the digests of its files, as a training and a test do."""
    from tests.synthetic import edit_json

    training, testing = study.training_job(run), study.testing_job(run)
    made = {"settings": digest_of(training.as_dict()), "pretraining": None}
    made["code"] = outdated.code_of("train", training)
    files = {name: file_digest(run.folder / name) for name in TRAINING_FILES}
    edit_json(run.folder / "run.json", lambda record: record.update(made_from=made, files=files))
    made = made_from_of_test(read_run(run.folder), testing, outdated.code_of("test", training))
    files = {name: file_digest(run.folder / name) for name in TEST_FILES}
    edit_json(run.folder / "test.json", lambda record: record.update(made_from=made, files=files))


def roots(root: Path) -> dict[str, str]:
    """Environment of a study below a folder. There are no prepared data: those of this machine are others than the runs name."""
    return {f"{name}_ROOT": str(root / name.lower()) for name in ("RESULTS", "REPORTS", "DATA")}


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float, int]:
    """CPU seconds (user and system), MB at the peak and exit status of a process.

    Linux counts the memory of the parent at the start as the child's, too, so the parent must be small.
    """
    environment = os.environ | environment | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main(counts: list[int]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="scale.") as folder:
            root = Path(folder)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                file = pool.apply(grown_study, (root, count))
            for verb, command in VERBS.items():
                seconds, megabytes, status = measure([*command, str(file)], roots(root))
                ended = f"{seconds:.1f} CPU s, {megabytes:.0f} MB" if status == 0 else f"exit status {status}"
                print(f"{count} runs: {verb}: {ended}", flush=True)
            page = root / "reports" / file.stem / "report.html"
            print(f"{count} runs: page of {page.stat().st_size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]])
