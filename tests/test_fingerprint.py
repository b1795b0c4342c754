"""The files behind a job: the same for Snakemake and for checkpoints, whatever edits a killed run meets."""

import subprocess
import sys
from pathlib import Path

import pytest

import algos
from bench.paths import ROOT, modules_in
from bench.protocol.fingerprint import closure, code_digest, code_files, content_digest
from tasks.catalogue import REGRESSION


def names(files: list[Path]) -> set[str]:
    return {file.relative_to(ROOT).as_posix() for file in files if file.is_relative_to(ROOT)}


def test_a_training_depends_on_its_algorithm_the_protocol_and_the_tasks():
    files = names(code_files("train", "maml"))
    assert {
        "algos/optimization/maml.py",
        "algos/base.py",
        "bench/protocol/loop.py",
        "tasks/episodes.py",
    } <= files
    assert not {"algos/metric/protonet.py", "bench/protocol/conditions.py"} & files
    assert not [
        file for file in files if file.startswith(("bench/report", "bench/statistics", "tasks/preparation"))
    ]


def test_an_own_file_outside_the_project_counts_with_what_it_imports(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("from algos.metric.protonet import ProtoNet\n\nclass Mine(ProtoNet): ...\n")
    files = code_files("train", str(own))
    assert own in files and "algos/metric/protonet.py" in names(files)
    assert names(files) == names(code_files("train", "protonet"))


def test_what_only_types_need_does_not_count_and_what_is_found_by_name_does(tmp_path):
    file = tmp_path / "some.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tasks.shifts\nelse:\n    import tasks.seeds\n"
        "from bench.paths import modules_in\nfound = modules_in('algos.pretraining')\n"
    )
    assert names(closure(file)) >= {"tasks/seeds.py", "bench/paths.py", "algos/pretraining/supervised.py"}
    assert "tasks/shifts.py" not in names(closure(file))
    assert modules_in("algos.pretraining") == [
        f"algos.pretraining.{name}" for name in ("supervised", "supervised_cosine")
    ]


def test_the_code_of_generated_tasks_counts_only_where_a_training_has_them():
    generated = {f"tasks/{name}.py" for name in ("functions", "generated", "polynomial", "sinusoid")}
    for dataset in (None, "omniglot", "folder:photos"):
        assert not generated & names(code_files("train", "maml", dataset=dataset)), dataset
    for dataset in REGRESSION:
        files = names(code_files("train", "maml", dataset=dataset))
        assert {*generated, "bench/protocol/function_source.py", "bench/protocol/sources.py"} <= files


def test_a_training_on_images_loads_no_code_of_generated_tasks():
    code = "import sys, bench.protocol.train; print({'tasks.functions', 'bench.protocol.function_source'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_unknown_verbs_and_algorithms_are_errors():
    with pytest.raises(FileNotFoundError, match="no verb 'trian'"):
        code_files("trian")
    with pytest.raises(FileNotFoundError, match="no algorithm 'mamll'"):
        code_files("train", "mamll")


def test_the_digest_follows_the_content_of_files(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("from algos.metric.protonet import ProtoNet\n")
    first = code_digest("train", str(own))
    assert first == code_digest("train", str(own)) != code_digest("test", str(own))
    own.write_text("from algos.metric.protonet import ProtoNet  # edited\n")
    assert first != code_digest("train", str(own))


def test_own_code_is_the_same_wherever_it_lies(tmp_path):
    """Beside the project on one machine, behind it in the order of paths on another."""
    own, weights, ours = tmp_path / "mine.py", tmp_path / "weights.bin", ROOT / "algos" / "base.py"
    own.write_text("SCALE = 1\n")
    weights.write_bytes(b"1234")
    first = content_digest([own, weights, ours])
    assert first == content_digest([weights, ours, own]) == content_digest([ours, own, weights])
    own.write_text("SCALE = 2\n")
    assert first != content_digest([own, weights, ours])


LINES = 2_700


def test_the_code_behind_a_training_is_small():
    """An edit of one of these files repeats trainings: what cannot change a model belongs elsewhere."""
    counted = {
        name: sum(len(file.read_text().splitlines()) for file in code_files("train", name))
        for name in (*algos.discover(), *algos.pretrainings())
    }
    assert max(counted.values()) <= LINES, counted


def test_the_list_is_read_without_torch():
    code = "import sys; from bench.protocol.fingerprint import code_files; code_files('test', 'maml'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
