"""A study of your own pictures: names, plan, training and test, from a path with spaces and quotes."""

import json
import shlex

import pytest

from bench.results.run_folder import read_run
from bench.results.setting import Setting
from bench.study.study import Study
from tasks.catalogue import folder_name, path_name
from tasks.preparation.folder_state import pictures_state
from tests.own_pictures import save, values, write_classes
from tests.planted import bench
from tests.workspace import NOTHING, TINY, Workspace

WAY = 3


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("own") / 'it\'s $HOME & "birds"', classes=15)


def settings(path, **changes) -> dict:
    """A tiny study of a folder."""
    parts = {"datasets": {f"folder:{path}": {"ways": [WAY], "shots": [1]}}, "algorithms": ["protonet"]}
    own = {
        "overrides": {"protonet": {"train_way": WAY, "hidden": 8}},
        "test": {"episodes": 8, "query": 5, "modes": ["inductive"]},
    }
    return TINY | parts | own | changes


def test_a_study_names_runs_by_the_safe_name_of_the_folder(birds):
    study = Study(settings(birds))
    (run,) = study.runs()
    name = folder_name(f"folder:{birds}")
    assert name.startswith("folder_it_s_HOME_birds_") and name.isascii() and " " not in name
    assert run.name == f"{name}/3way_1shot/protonet/seed0" and study.run(run.name) == run
    assert study.training_job(run).dataset == f"folder:{birds}"
    overridden = Study(settings(birds, overrides={f"protonet {name}": {"hidden": 8, "train_way": WAY}}))
    assert overridden.hyper_parameters(run)["hidden"] == 8


def test_names_are_unique_and_safe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a, b = tmp_path / "a" / "birds", tmp_path / "b" / "birds"
    assert folder_name(f"folder:{a}") != folder_name(f"folder:{b}")
    assert folder_name("folder:a/birds") == folder_name(f"folder:{a}") == folder_name(f"folder:{a}/../birds/")
    assert path_name("torchmeta:cifar_fs") == "torchmeta:cifar_fs" and path_name("glyphs") == "glyphs"
    setting = Setting(f"folder:{a}", 5, 1)
    assert setting.label == "Birds 5-way 1-shot" and "/" not in setting.slug
    for wrong in ("folder:", "folder: ", "birds"):
        with pytest.raises(ValueError, match="unknown data set .*folder:/data/birds"):
            folder_name(wrong)


def test_the_folder_is_prepared_trained_and_tested_under_its_name(birds, tmp_path, monkeypatch, capsys):
    for root in ("DATA_ROOT", "RESULTS_ROOT", "REPORTS_ROOT"):
        monkeypatch.setenv(root, str(tmp_path / root))
    monkeypatch.chdir(tmp_path)
    content = settings(birds, shifts={"episodes": 4, "severities": {"noise": [2]}})
    (tmp_path / "study.yaml").write_text(json.dumps(content))
    (run,) = Study(content).runs()
    assert bench("prepare", f"folder:{birds}") == 0
    assert "15 classes x 6 to 12 images, 28x28x3" in capsys.readouterr().out
    assert bench("train", "study.yaml", run.name) == 0 and bench("test", "study.yaml", run.name) == 0
    result = read_run(run.folder)
    assert result.status == "ok" and len(result.episodes()) == 8 + 2 * 4
    assert result.run["dataset"] == f"folder:{birds}"
    assert bench("pictures", "study.yaml") == 0
    assert (
        len(json.loads((tmp_path / "RESULTS_ROOT" / "tiny" / "pictures" / "pictures.json").read_text())) == 2
    )


def test_a_task_that_asks_for_more_than_a_class_has_is_refused(birds, tmp_path, monkeypatch, capsys):
    for root in ("DATA_ROOT", "RESULTS_ROOT"):
        monkeypatch.setenv(root, str(tmp_path / root))
    content = settings(birds)
    content["datasets"][f"folder:{birds}"]["shots"] = [6]
    (tmp_path / "study.yaml").write_text(json.dumps(content))
    (run,) = Study(content).runs()
    bench("prepare", f"folder:{birds}")
    assert bench("train", tmp_path / "study.yaml", run.name) != 0
    said = capsys.readouterr().err
    assert (
        "protonet: train_query: 6 training shots + 5 train_query per class are more than the" in said
        and "lower it, or add images to these classes or leave them out: Vögel" in said
    )
    assert not (run.folder / "run.json").exists()


def test_a_change_of_the_pictures_is_noticed_and_their_absence_is_none(birds, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    own = write_classes(tmp_path / "own", classes=3)
    name, before = f"folder:{own}", pictures_state(f"folder:{own}")
    (own / "Thumbs.db").write_bytes(b"litter")
    assert pictures_state(name) == before
    bench("prepare", name)
    save(own / "Vögel 00" / "more.png", "rgb.png", values(0, 99))
    assert pictures_state(name) != before
    own.rename(tmp_path / "elsewhere")
    assert pictures_state(name) == before


def test_the_workflow_plans_the_study_with_a_quoted_name(birds, tmp_path):
    workspace = Workspace(tmp_path)
    printed = workspace.snakemake(
        "--dry-run", "--printshellcmds", "--configfile", workspace.study(**settings(birds))
    )
    assert NOTHING not in printed
    (command,) = [line for line in printed.splitlines() if "bench prepare" in line]
    words = shlex.split(command)
    assert words[words.index("prepare") + 1] == f"folder:{birds}"
    assert (
        f"bench train results/tiny/study.yaml {folder_name(f'folder:{birds}')}/3way_1shot/protonet/seed0"
        in printed
    )


def test_the_workflow_misses_pictures_before_it_plans(tmp_path):
    workspace, nowhere = Workspace(tmp_path), tmp_path / "brids"
    printed = workspace.snakemake(
        "--dry-run", "--configfile", workspace.study(**settings(nowhere)), succeeds=False
    )
    assert f"folder:{nowhere}: there is no file or folder {nowhere}; correct the path" in printed
