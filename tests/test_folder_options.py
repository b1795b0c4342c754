"""Size, channels and split seed of your own pictures: keys of a study, part of the data set's name, an error elsewhere."""

import json

import numpy as np
import pytest

from bench.results.setting import Setting
from bench.study.study import Study
from tasks.catalogue import folder_name, pictures_path
from tasks.preparation import folder, folder_resume
from tasks.preparation.archives import DataError
from tasks.preparation.prepare import prepare
from tests.own_pictures import save, values, write_classes
from tests.test_folder_study import settings

NAMED = "size=20 channels=1 split_seed=7"


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("own") / "birds", classes=15, least=3)


def study_of(path, **keys) -> Study:
    entry = {"ways": [3], "shots": [1], **keys}
    return Study(settings(path, datasets={f"folder:{path}": entry}))


def test_the_keys_are_part_of_the_name(birds):
    study = study_of(birds, split_seed=7, channels=1, size=20)
    (name,) = study.settings.datasets
    assert name == f"folder:{birds} {NAMED}" and pictures_path(name) == birds
    assert folder_name(name) != folder_name(f"folder:{birds}") and folder_name(name).isidentifier()
    assert Setting(name, 3, 1).label == "Birds, size 20, channels 1, split seed 7 3-way 1-shot"
    assert Study(study.config).config == study.config  # the study as it is written for the jobs
    plain = study_of(birds)
    assert list(plain.settings.datasets) == [f"folder:{birds}"]
    assert {run.name for run in plain.runs()}.isdisjoint(run.name for run in study.runs())


def test_pictures_are_prepared_as_the_keys_say(birds, tmp_path):
    plain = prepare(f"folder:{birds}", tmp_path)
    small = prepare(f"folder:{birds} {NAMED}", tmp_path)
    assert plain.images.shape[2:] == (28, 28, 3) and small.images.shape[2:] == (20, 20)
    assert plain.meta["class_names"] == small.meta["class_names"] and small.meta["channels"] == 1
    drawn = [set(data.meta["splits"]["drawn"]["test"]) for data in (plain, small)]
    assert drawn[0] != drawn[1] and "The split was drawn with seed 7." in small.meta["notes"]
    assert abs(float(small.images[0, 0].mean()) - float(plain.images[0, 0].mean())) < 12


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"size": 8}, "size: must be at least 16, not 8"),
        ({"channels": 4}, "channels: must be 1 or 3, not 4"),
        ({"split_seed": -1}, "split_seed: must be at least 0, not -1"),
        ({"sise": 20}, r"'sise' was unexpected \(did you mean 'size'\?\)"),
    ],
)
def test_wrong_values_are_errors_of_the_study(birds, keys, said):
    with pytest.raises(ValueError, match=said):
        study_of(birds, **keys)


def test_only_own_pictures_have_these_keys(birds):
    with pytest.raises(ValueError, match="datasets: glyphs has no size: only your own pictures"):
        Study(settings(birds, datasets={"glyphs": {"ways": [3], "shots": [1], "size": 28}}))
    twice = {f"folder:{birds}{end}": {"shots": [1], "ways": [2]} for end in ("", " size=20")}
    twice[f"folder:{birds}"]["size"] = 20
    with pytest.raises(ValueError, match="occurs twice"):
        Study(settings(birds, datasets=twice))
    for end, said in {" size=600": "a side of 16 to 512", " channels=2": "1 channel"}.items():
        with pytest.raises(DataError, match=said):
            prepare(f"folder:{birds}{end}", birds.parent)


class Killed(BaseException):
    """What no handler of errors sees, as if the process were gone."""


def test_a_killed_preparation_is_resumed(birds, tmp_path, monkeypatch):
    whole = prepare(f"folder:{birds}", tmp_path / "whole")
    monkeypatch.setattr(folder_resume, "SAVE_SECONDS", 0)
    read, fit = [], folder._fit

    def counted(picture, look):
        read.append(picture)
        if len(read) == 40:
            raise Killed
        return fit(picture, look)

    monkeypatch.setattr(folder, "_fit", counted)
    with pytest.raises(Killed):
        prepare(f"folder:{birds}", tmp_path / "killed")
    (left,) = (tmp_path / "killed").glob(".*.unfinished")
    assert json.loads((left / "progress.json").read_text())["classes"] >= 3
    monkeypatch.setattr(folder, "_examine", None)  # was done before
    resumed = prepare(f"folder:{birds}", tmp_path / "killed")
    assert np.array_equal(resumed.images, whole.images) and resumed.meta == whole.meta
    assert len(read) < sum(whole.meta["counts"]) + 20
    assert not left.exists()


def test_a_rest_of_other_pictures_is_not_used(birds, tmp_path, monkeypatch):
    own = write_classes(tmp_path / "own", classes=3, least=2)
    monkeypatch.setattr(folder_resume, "SAVE_SECONDS", 0)
    monkeypatch.setattr(folder, "_statistics", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        prepare(f"folder:{own}", tmp_path / "prepared")
    monkeypatch.undo()
    save(own / "Vögel 00" / "more.png", "rgb.png", values(0, 99))
    data = prepare(f"folder:{own}", tmp_path / "prepared")
    assert data.meta["counts"] == [3, 3, 4]
    assert np.array_equal(data.images, prepare(f"folder:{own}", tmp_path / "again").images)
