"""Streams of images: sampler, the count-only guess, what a prediction may depend on, training with exact resume."""

import json

import pandas as pd
import pytest
import torch

from bench.__main__ import main
from bench.protocol import stream_training
from bench.protocol.stream_training import LENGTH, WAY, build
from bench.report import stream_figure
from bench.study.study import Study
from tasks.preparation.write import write_prepared
from tasks.seeds import torch_generator
from tasks.stream import (
    SIZE,
    Streams,
    StreamSampler,
    by_presentation,
    count_only,
    presentations,
    small_images,
)
from tests import planted
from tests.workspace import Workspace


def sampler(balanced=False, augment=False, name="streams"):
    return StreamSampler(planted.planted_split(), torch_generator("cpu", name), balanced, augment)


def test_a_label_names_one_class_within_a_stream():
    """Planted images of a class differ by little noise, those of two classes by far more; labels change by stream."""
    streams = sampler().sample(8)
    assert streams.x.shape == (8, 50, SIZE * SIZE) and 0 <= streams.x.min() and streams.x.max() <= 1
    distance = torch.cdist(streams.x, streams.x)
    same = streams.y.unsqueeze(2) == streams.y.unsqueeze(1)
    assert distance[same].max() < distance[~same].min()
    means = torch.stack([streams.x[b, streams.y[b] == 0].mean(0) for b in range(8)])
    assert torch.cdist(means, means)[~torch.eye(8, dtype=bool)].min() > distance[same].max()


def test_labels_are_independent_or_balanced():
    counts = torch.nn.functional.one_hot(sampler().sample(400).y, WAY).sum(1)
    assert counts.float().std() == pytest.approx((50 * 0.2 * 0.8) ** 0.5, abs=0.15)  # binomial
    assert (torch.nn.functional.one_hot(sampler(balanced=True).sample(20).y, WAY).sum(1) == 10).all()
    with pytest.raises(ValueError, match="balanced stream of 5 classes cannot have 48 images"):
        sampler(balanced=True).sample(1, 5, 48)


def test_an_image_comes_again_only_when_its_class_has_no_more():
    streams = sampler().sample(4)  # 8 images per class, about 10 presentations
    for b in range(4):
        for label in range(WAY):
            images = streams.x[b, streams.y[b] == label]
            repeats = [torch.cdist(part, part).triu(1) for part in images.split(8)]
            assert all((part[part.triu(1) > 0] > 0.1).all() for part in repeats)
            for part in images.split(8):
                assert len(part.unique(dim=0)) == len(part)
            if len(images) > 8:
                assert torch.equal(images[8], images[0])


def test_a_stream_depends_on_its_seed_only():
    once, again, other = (sampler(augment=True, name=name).sample(2) for name in ("a", "a", "b"))
    assert torch.equal(once.x, again.x) and torch.equal(once.y, again.y)
    assert not torch.equal(once.x, other.x)


def test_small_images_turn_and_move():
    bar = torch.zeros(1, 1, 28, 28)
    bar[..., 4:24, 13:15] = 1  # upright
    none = torch.zeros(1), torch.zeros(1, 2)
    upright = small_images(bar, *none)[0, 0]
    torch.testing.assert_close(upright, upright.flip(0))
    lying = small_images(bar, torch.tensor([torch.pi / 2]), none[1])[0, 0]
    torch.testing.assert_close(lying, upright.T, atol=1e-4, rtol=0)
    moved = small_images(bar, none[0], torch.tensor([[0.25, 0.0]]))[
        0, 0
    ]  # a quarter of 20 pixels to the right
    torch.testing.assert_close(moved[:, 5:], upright[:, :-5], atol=1e-4, rtol=0)


def test_presentations_equal_a_scalar_count():
    y = torch.randint(5, (3, 30), generator=torch.Generator().manual_seed(0))
    naive = [[row[:t].count(row[t]) for t in range(30)] for row in y.tolist()]
    assert presentations(y, 5).tolist() == naive
    credit = torch.rand(3, 30)
    numbers = torch.tensor(naive)
    assert by_presentation(credit, y, 5, 3) == pytest.approx(
        [credit[numbers == k].mean().item() for k in range(3)]
    )


def test_what_labels_alone_tell():
    """The published protocol with ten images of each class gives 45.7 % away; independent labels give nothing."""
    y = sampler(balanced=True)._labels(3_000, WAY, LENGTH)
    blind = by_presentation(count_only(y, WAY, True), y, WAY)
    assert blind[:5] + blind[-1:] == pytest.approx([0.457, 0.311, 0.291, 0.281, 0.275, 0.330], abs=0.01)
    y = sampler().sample(10).y
    assert (count_only(y, WAY, False) == 0.2).all()


@pytest.mark.parametrize("name", ["mann", "ntm", "lstm"])
def test_a_prediction_sees_images_up_to_now_and_labels_before(name):
    torch.manual_seed(0)
    learner, _ = build(name, {} if name == "lstm" else {"width": 20, "slots": 60, "slot_size": 6})
    streams = sampler().sample(2)
    logits = learner(streams)
    assert logits.shape == (2, LENGTH, WAY)
    for part in ("x", "y"):
        changed = {"x": streams.x.clone(), "y": streams.y.clone()}
        changed[part][:, 30] = 1 - streams.x[:, 30] if part == "x" else (streams.y[:, 30] + 1) % WAY
        difference = (learner(Streams(**changed, way=WAY)) - logits).abs().amax((0, 2))
        first = 30 if part == "x" else 31
        assert (difference[:first] == 0).all() and difference[first] > 0


@pytest.fixture
def planted_data(tmp_path, monkeypatch):
    write_prepared("planted", planted.pictures(), planted.meta(), root=tmp_path / "data" / "prepared")
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "stream" / "independent"


def stream(*arguments):
    return main(["stream", *arguments, "--dataset", "planted", "--test-streams", "40", "--device", "cpu"])


def test_training_resumes_exactly_and_is_drawn(planted_data):
    settings = ["width=16", "slots=20", "slot_size=6"]
    assert stream("mann", "--updates", "3", "--set", *settings) == 0
    assert stream("mann", "--updates", "5", "--set", *settings) == 0
    folder = planted_data / f"mann-{'-'.join(settings)}" / "seed0"
    resumed = torch.load(folder / "checkpoint.pt", weights_only=True)
    for path in folder.iterdir():
        path.unlink()
    assert stream("mann", "--updates", "5", "--set", *settings) == 0
    straight = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(resumed["learner"][key], value) for key, value in straight["learner"].items())
    record = json.loads((folder / "run.json").read_text())
    assert (
        record["updates"] == 5 and record["hyper_parameters"]["slots"] == 20 and record["provenance"]["torch"]
    )
    table = pd.read_csv(folder / "presentations.csv")
    assert table["presentation"].tolist() == list(range(1, 11)) and table["count_only"].round(6).eq(0.2).all()
    (planted_data / "presentations.svg").unlink()
    assert stream("draw") == 0
    drawing = (planted_data / "presentations.svg").read_text()
    assert "published" in drawing and "series-mann" in drawing


@pytest.mark.parametrize("name", ["mann", "lstm"])
def test_gradients_reach_what_is_to_be_learned(name):
    """Two streams can be learned by heart: the loss falls far below chance, which is ln 5."""
    torch.manual_seed(0)
    learner, _ = build(name, {} if name == "lstm" else {"width": 60, "slots": 20, "slot_size": 10})
    streams, optimizer = sampler().sample(2), torch.optim.Adam(learner.parameters(), lr=5e-3)
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(learner(streams).flatten(0, 1), streams.y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.8


def test_the_memory_serves_second_presentations_and_novelty(monkeypatch):
    """Streams of three new classes of 16 numbers: after 400 updates MANN names a class that it has seen once.

    It also guesses first presentations better than by chance, 1 in 3, because it knows which labels are taken; the limit is
    about 60 %. With a memory that reads nothing, the same weights do worse. The LSTM alone is still at chance after as many updates.
    """
    monkeypatch.setattr(stream_training, "WAY", 3)
    monkeypatch.setattr(stream_training, "SIZE", 4)
    monkeypatch.setattr(stream_training, "WIDTH", 64)

    def small_streams(count, generator):
        classes = torch.randn(count, 3, 16, generator=generator)
        y = torch.randint(3, (count, 9), generator=generator)
        noise = 0.2 * torch.randn(count, 9, 16, generator=generator)
        return Streams(classes.gather(1, y.unsqueeze(-1).expand(-1, -1, 16)) + noise, y, 3)

    def accuracy(learner):
        tested = small_streams(500, torch.Generator().manual_seed(2))
        with torch.no_grad():
            return by_presentation(learner(tested).argmax(-1) == tested.y, tested.y, 3, 3)

    def trained(name, overrides):
        torch.manual_seed(0)
        learner, generator = build(name, overrides)[0], torch.Generator().manual_seed(1)
        optimizer = torch.optim.Adam(learner.parameters(), lr=5e-3)
        for _ in range(400):
            streams = small_streams(32, generator)
            loss = torch.nn.functional.cross_entropy(learner(streams).flatten(0, 1), streams.y.flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learner.parameters(), 10.0)
            optimizer.step()
        return learner

    sizes = {"width": 64, "slots": 9, "slot_size": 16, "read_heads": 2, "content": "own"}
    mann = trained("mann", sizes)
    first, second, third = accuracy(mann)
    assert second > 0.75 and third > 0.8 and first > 0.4
    step = type(mann.memory).step

    def blind(memory, projected, state):
        after = step(memory, projected, state)
        read = torch.cat([after.output[:, :64], torch.zeros_like(after.output[:, 64:])], dim=-1)
        return after._replace(output=read)

    monkeypatch.setattr(type(mann.memory), "step", blind)
    assert accuracy(mann)[1] < second - 0.3
    assert accuracy(trained("lstm", {}))[1] < 0.45


def test_errors_name_the_remedy(planted_data, capsys):
    assert stream("lstm", "--set", "slots=3") == 2
    assert "lstm has no hyper-parameters here" in capsys.readouterr().err
    assert stream("mann", "--set", "slot=3") == 2
    assert "mann has no hyper-parameter 'slot'" in capsys.readouterr().err
    assert stream("draw") == 2
    assert "holds no finished run" in capsys.readouterr().err


def test_a_study_runs_streams_as_jobs(tmp_path):
    """One job for each learner, kind of labels and seed, with its settings, and one figure for each kind of labels."""
    workspace = Workspace(tmp_path)
    stream = {"learners": ["lstm", "mann content=own slots=16"], "updates": 70, "seeds": [0, 4]}
    study = workspace.study(stream=stream | {"labels": ["independent", "balanced"]})
    printed = workspace.snakemake("--dry-run", "--printshellcmds", "--configfile", study)
    jobs = {
        " ".join(line.split(" > ")[0].split()) for line in printed.splitlines() if "-m bench stream" in line
    }
    trainings = {job for job in jobs if " draw " not in job}
    assert len(trainings) == 8 and all("--no-figure --updates 70 --device" in job for job in trainings)
    own = [job for job in trainings if "stream mann --labels balanced --seed 4" in job]
    assert len(own) == 1 and own[0].endswith("--set content=own slots=16")
    assert {job.split("stream ")[1] for job in jobs - trainings} == {
        "draw --labels independent",
        "draw --labels balanced",
    }
    assert "bench stream" not in workspace.snakemake(
        "-n", "-p", "--configfile", workspace.study(study="none")
    )


@pytest.mark.parametrize(
    ("learners", "message"),
    [
        (["mann slot=3"], "stream.learners: 'mann slot=3': mann has no hyper-parameter 'slot'"),
        (
            ["ntm slots=0.5"],
            "stream.learners: 'ntm slots=0.5': hyper-parameter slots of ntm must be an integer",
        ),
        (["mann slots=010"], "stream.learners: 'mann slots=010': slots .* YAML takes 010 for 8"),
        (["lstm", "lstm"], "stream.learners: .*'lstm' occurs twice"),
        (["protonet"], "stream.learners"),
    ],
)
def test_learners_on_streams_are_checked_when_the_study_is_read(learners, message):
    study = {"study": "s", "datasets": {"glyphs": {"ways": [5], "shots": [1]}}, "algorithms": ["protonet"]}
    with pytest.raises(ValueError, match=message):
        Study(study | {"stream": {"learners": learners}})


def test_the_figure_says_how_many_updates_and_seeds_it_has(planted_data):
    for learner, updates in (("mann", 20_000), ("lstm", 5_000)):
        folder = planted_data / learner / "seed0"
        folder.mkdir(parents=True)
        curve = pd.DataFrame({"presentation": [1, 2], "accuracy": [0.2, 0.6], "count_only": [0.2, 0.2]})
        curve.to_csv(folder / "presentations.csv", index=False)
        (folder / "run.json").write_text(json.dumps({"learner": learner, "seed": 0, "updates": updates}))
    found = stream_figure.figure(stream_figure.collect(planted_data), "independent")
    assert (
        found.panels[0].title == "5 classes, labels independent\n5,000 to 20,000 of 100,000 updates, 1 seed"
    )


def test_published_curves():
    curves = stream_figure.published_curves(["mann", "ntm", "lstm"])
    assert set(curves) == {"mann", "lstm"}
    assert curves["mann"].to_dict() == {1: 0.364, 2: 0.828, 3: 0.91, 4: 0.926, 5: 0.949, 10: 0.981}
