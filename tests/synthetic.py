"""Synthetic studies: run folders in the real formats, filled with plausible numbers, without any training."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from bench.results.files import write_text
from bench.results.frames import write_calibration, write_episodes, write_history
from bench.results.run_folder import write_run, write_test
from tests import synthetic_episodes, synthetic_records
from tests.synthetic_learners import UNTRAINED

ALGORITHMS = ("pixel_nn", "protonet", "maml", "fomaml", "lstm")
SHIFTS = {"smear": (1, 3, 5), "shear": (1, 3, 5)}


def make_study(
    root: Path,
    name: str = "synthetic",
    algorithms: Iterable[str] = ALGORITHMS,
    datasets: Mapping[str, Mapping] | None = None,
    seeds: Iterable[int] = (0, 1),
    shifts: Mapping[str, Iterable[int]] = SHIFTS,
    strengths: Mapping[str, Iterable[float]] | None = None,
    scopes: Iterable[str] = ("task", "query"),
    episodes: int = 200,
    shift_episodes: int = 100,
    diverged: Iterable[str] = (),
    missing: Iterable[str] = (),
    untested: Iterable[str] = (),
    experiments: Mapping | None = None,
) -> Path:
    """Write `root/config/<name>.yaml` and its run folders below `root/results`; returns the path of the YAML.

    `diverged`, `missing`, `untested`: names of runs, such as "glyphs/5way_1shot/maml/seed1".
    Set the environment variable RESULTS_ROOT to `root/results` before reading the study with `bench`.
    A data set called sinusoid holds regression results.
    """
    datasets = datasets or {"glyphs": {"ways": [5], "shots": [1, 5]}}
    study = {
        "study": name,
        "title": f"Synthetic study {name}",
        "seed": 0,
        "datasets": {key: dict(value) for key, value in datasets.items()},
        "algorithms": list(algorithms),
        "seeds": list(seeds),
        "train": {
            "minutes": 1.0,
            "validate_every": 50,
            "validation_episodes": 100,
            "threads": 1,
            "device": "cpu",
        },
        "test": {"episodes": episodes, "query": 15, "modes": ["inductive", "transductive"]},
        "shifts": {
            "scopes": list(scopes),
            "episodes": shift_episodes,
            "severities": {key: list(value) for key, value in shifts.items()},
            "strengths": {key: list(value) for key, value in (strengths or {}).items()},
        },
        "experiments": dict(experiments or {}),
    }
    path = root / "config" / f"{name}.yaml"
    write_text(path, yaml.safe_dump(study, sort_keys=False))
    for dataset, setting in datasets.items():
        for way, shot in [(way, shot) for way in setting.get("ways", [1]) for shot in setting["shots"]]:
            for algorithm, seed in [(algorithm, seed) for algorithm in algorithms for seed in seeds]:
                run = f"{dataset}/{way}way_{shot}shot/{algorithm}/seed{seed}"
                if run not in missing:
                    status = (
                        "diverged" if run in diverged else "untrained" if algorithm in UNTRAINED else "ok"
                    )
                    folder = root / "results" / name / run
                    _write_run(
                        folder, study, (dataset, way, shot, algorithm, seed), status, run not in untested
                    )
    return path


def _write_run(folder: Path, study: dict, key: tuple, status: str, tested: bool) -> None:
    kind = "regression" if key[0] == "sinusoid" else "classification"
    curve = synthetic_records.history(key, status)
    write_history(folder / "history.parquet", curve)
    write_run(folder / "run.json", synthetic_records.run_record(study, key, status, kind, curve))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    if tested:
        frame = synthetic_episodes.episodes(study, key, kind)
        frame = frame.iloc[:0] if status == "diverged" else frame
        frame, bins = synthetic_episodes.binned(frame, key[1] * study["test"]["query"])
        write_episodes(folder / "episodes.parquet", frame, kind)
        write_calibration(folder / "calibration.parquet", bins, kind)
        write_test(folder / "test.json", synthetic_records.test_record(study, key, frame))


def small_study(root: Path) -> Path:
    """Write a study of two algorithms and two seeds without shifts: cheap enough to break in every test."""
    glyphs = {"glyphs": {"ways": [5], "shots": [1]}}
    return make_study(root, algorithms=("pixel_nn", "protonet"), datasets=glyphs, shifts={}, episodes=50)


def run_folder(study_file: Path, algorithm: str = "protonet", seed: int = 0) -> Path:
    """Return the folder of a run of `small_study`."""
    cell = study_file.parents[1] / "results" / "synthetic" / "glyphs" / "5way_1shot"
    return cell / algorithm / f"seed{seed}"


def edit_json(path: Path, change: Callable[[dict], object]) -> None:
    """Change a record on disk."""
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
