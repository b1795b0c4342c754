"""Baseline, Baseline++, training from scratch and the supervised pretraining that the first two share (card E26)."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from algos.baseline.cosine_finetune import SCALE, CosineFinetune
from algos.baseline.finetune import Finetune
from algos.baseline.scratch import Scratch
from algos.nets.augment import augmented
from algos.nets.layers import Linear, Statistics
from bench.__main__ import main
from bench.protocol import checkpoint
from bench.results.run_folder import read_run
from tests import planted
from tests.workspace import Workspace

ROOT = Path(__file__).parents[1]
LABELS = torch.tensor([[1, 0, 2, 0, 1, 2, 2], [0, 0, 1, 1, 2, 2, 0]])
HEADS = [Finetune, CosineFinetune]


def features(*shape, seed=0):
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SUPPORT, QUERY = features(2, 7), features(2, 5, seed=1)


def logits(model, support=SUPPORT, labels=LABELS, query=QUERY):
    return model.score(model.fit(support, labels, 3), query)


def test_the_linear_head_finds_the_optimum_of_logistic_regression(float64):
    """With whole-batch steps; the released code's weight decay also holds the bias: a column of ones in X."""
    model = planted.small(Finetune, epochs=4_000, batch=7, rate=0.5, weight_decay=0.05)
    ours = logits(model).softmax(-1)
    for t in range(2):
        x, q = (F.pad(z[t], (0, 1), value=1.0).numpy() for z in (SUPPORT, QUERY))
        reference = LogisticRegression(C=1 / (7 * 0.05), fit_intercept=False, tol=1e-12, max_iter=10_000)
        expected = reference.fit(x, LABELS[t].numpy()).predict_proba(q)
        torch.testing.assert_close(ours[t], torch.from_numpy(expected), rtol=1e-6, atol=1e-7)


class ReleasedCosine(nn.Module):
    """The cosine classifier from PyTorch's own weight norm, for one task."""

    def __init__(self, direction):
        super().__init__()
        linear = nn.Linear(*direction.shape, bias=False)
        linear.weight.data = direction.T.clone()
        self.linear = weight_norm(linear, dim=0)

    def forward(self, x):
        return SCALE * self.linear(x / (x.norm(dim=-1, keepdim=True) + 1e-5))


@pytest.mark.parametrize("kind", HEADS)
def test_the_heads_equal_pytorchs_sgd_one_task_at_a_time(float64, kind):
    """Autograd, torch.optim.SGD with momentum and dampening, mini-batches of 4 of the 7 examples (the last has 3)."""
    model = planted.small(kind, epochs=20, rate=0.1, weight_decay=0.01)
    ours = logits(model)
    for t in range(2):
        if kind is Finetune:
            head = nn.Linear(6, 3)
            nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
        else:
            start, _ = CosineFinetune._start(F.one_hot(LABELS, 3).double(), 6)
            head = ReleasedCosine(start[t])
        sgd = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9, dampening=0.9, weight_decay=0.01)
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            for batch in torch.randperm(7, generator=generator).split(4):
                sgd.zero_grad()
                F.cross_entropy(head(SUPPORT[t, batch]), LABELS[t, batch]).backward()
                sgd.step()
        torch.testing.assert_close(ours[t], head(QUERY[t]).detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_a_batch_of_tasks_equals_one_by_one(float64, kind):
    model = planted.small(kind)
    alone = [logits(model, SUPPORT[t : t + 1], LABELS[t : t + 1], QUERY[t : t + 1]) for t in range(2)]
    torch.testing.assert_close(logits(model), torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_only_the_cosine_head_ignores_the_length_of_features(float64):
    cosine, linear = planted.small(CosineFinetune), planted.small(Finetune)
    longer = (1e4 * SUPPORT, LABELS, 1e4 * QUERY)
    torch.testing.assert_close(logits(cosine, *longer), logits(cosine), rtol=0, atol=1e-4)
    assert not torch.allclose(logits(linear, *longer).softmax(-1), logits(linear).softmax(-1), atol=0.1)


@pytest.mark.parametrize("kind", HEADS)
def test_the_test_steps_are_the_first_of_the_own_ones(float64, kind):
    """Own: two steps of 4 + 3 examples in each of three passes; others: fewer, or more passes; none: the start."""
    model, longer = planted.small(kind, epochs=3), planted.small(kind, epochs=4)
    assert model.test_steps == -1 and model.steps(7) == 6 and model.steps(8) == 6 and model.steps(9) == 9
    own, by_steps = logits(model), []
    for steps in range(9):
        model.test_steps = steps
        by_steps.append(logits(model))
    torch.testing.assert_close(by_steps[6], own, rtol=0, atol=0)
    torch.testing.assert_close(by_steps[8], logits(longer), rtol=0, atol=0)
    torch.testing.assert_close(by_steps[0], logits(planted.small(kind, epochs=0)), rtol=0, atol=0)
    assert min((a - b).abs().max() for a, b in zip(by_steps, by_steps[1:], strict=False)) > 1e-6


@pytest.mark.parametrize("kind", HEADS)
def test_the_names_of_the_classes_do_not_matter(float64, kind):
    model, names = planted.small(kind), torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        logits(model, labels=names[LABELS])[..., names], logits(model), rtol=1e-10, atol=1e-10
    )


def test_from_scratch_equals_adam_on_one_native_network_at_a_time(float64):
    model = planted.small(Scratch, hidden=4, test_steps=5)
    chosen = planted.episodes(tasks=2)
    support, query = chosen.support_x.double(), chosen.query_x.double()
    weights, _ = model.adapt(support, chosen.support_y, planted.WAY)
    for t in range(2):
        fresh = planted.small(Scratch, hidden=4).net
        fresh.head = Linear(fresh.backbone.features, planted.WAY)
        torch.nn.init.zeros_(fresh.head.weight)
        adam = torch.optim.Adam(fresh.parameters(), lr=model.params.rate)
        for _ in range(5):
            adam.zero_grad()
            output = fresh(support[t : t + 1], Statistics.batch())[0]
            F.cross_entropy(output, chosen.support_y[t]).backward()
            adam.step()
        for name, w in fresh.named_parameters():
            torch.testing.assert_close(weights[name][t], w.detach(), rtol=1e-7, atol=1e-9)
    before = planted.small(Scratch, hidden=4, test_steps=0)
    assert not torch.allclose(
        model.predict((weights, support), query),
        before.predict(before.adapt(support, chosen.support_y, planted.WAY), query),
    )


def test_augmentation_changes_each_image_on_its_own_and_stays_in_range():
    images = torch.rand(1, 3, 20, 20).expand(6, -1, -1, -1)
    torch.manual_seed(3)
    once = augmented(images)
    torch.manual_seed(3)
    assert torch.equal(augmented(images), once)
    assert once.shape == images.shape and once.min() >= 0 and once.max() <= 1
    assert all((once[i] - once[j]).abs().max() > 0.05 for i in range(6) for j in range(i))
    constant = augmented(torch.full((50, 3, 8, 8), 0.5))  # a crop of a constant image is one
    assert (constant.amax((1, 2, 3)) - constant.amin((1, 2, 3))).max() < 1e-6
    assert constant.amax() <= 0.7 + 1e-6 and constant.amin() >= 0.3 - 1e-6


def test_half_of_the_augmented_images_are_mirrored(monkeypatch):
    monkeypatch.setattr("algos.nets.augment.CROP_AREA", (1.0, 1.0))
    monkeypatch.setattr("algos.nets.augment.CROP_RATIO", (1.0, 1.0))
    monkeypatch.setattr("algos.nets.augment.JITTER", 0.0)
    torch.manual_seed(0)
    image = torch.rand(1, 3, 9, 9)
    changed = augmented(image.expand(400, -1, -1, -1))
    same = (changed - image).abs().amax((1, 2, 3)) < 1e-5
    mirrored = (changed - image.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    assert (same ^ mirrored).all() and 160 < mirrored.sum() < 240


@pytest.mark.parametrize("classifier", ["linear", "cosine"])
def test_the_stage_learns_to_tell_the_training_classes(classifier):
    stage = planted.small_pretraining("supervised", steps=150, classifier=classifier, learning_rate=0.01)
    losses = planted.trained(stage, 150)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert planted.accuracy(stage, planted.episodes(tasks=50)) > 0.9


def test_every_hyper_parameter_of_the_stage_has_an_effect():
    changes = {"batch_size": 7, "learning_rate": 0.1, "hidden": 5, "backbone": "conv4_stride", "steps": 4,
               "classifier": "cosine", "augment": True, "schedule": "constant"}  # fmt: skip

    def outcome(**values):
        return planted.trained(planted.small_pretraining("supervised", **{"steps": 8, **values}), 3)

    default = outcome()
    assert all(outcome(**{key: value}) != default for key, value in changes.items())
    halved = {"schedule": "halve", "halve_every": 1}
    assert outcome(**halved) != outcome(**halved | {"halve_every": 2})
    known = {entry.name for entry in dataclasses.fields(planted.small_pretraining("supervised").Params)}
    assert known == {*changes, "halve_every"}


# The stage as part of a study.

BOTH = ["finetune", "cosine_finetune"]
STAGE = "planted/supervised/seed0"
SMALL = {"supervised": {"hidden": 8, "batch_size": 32}}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    return tmp_path


def bench(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def run_name(algorithm: str) -> str:
    return f"planted/3way_2shot/{algorithm}/seed0"


def test_both_start_from_the_same_features_and_state_their_cost(home):
    values = {"supervised": {"hidden": 8, "batch_size": 32, "steps": 120, "learning_rate": 0.01}}
    study = planted.write_study(home, algorithms=BOTH, overrides=values)
    assert bench("train", study, STAGE) == 0
    root = home / "results" / "tiny"
    trunk = load_file(root / STAGE / "model.safetensors")
    stage = read_run(root / STAGE)
    for algorithm in BOTH:
        name = run_name(algorithm)
        assert bench("train", study, name) == bench("test", study, name) == 0
        run = read_run(root / name)
        weights = load_file(root / name / "model.safetensors")
        assert all(torch.equal(weights[key], trunk[key]) for key in weights)
        assert set(trunk) - set(weights) == {"head.weight", "head.bias"}
        assert run.status == "ok" and run.history().equals(stage.history())
        assert run.run["training"]["cpu_seconds"] == stage.run["training"]["cpu_seconds"] > 0
        assert run.run["hyper_parameters"]["supervised.hidden"] == 8
        assert run.episodes().query("shift == 'none' and mode == 'inductive'")["accuracy"].mean() > 0.8


def test_a_missing_stage_is_named_with_the_command(home, capsys):
    study = planted.write_study(home, algorithms=BOTH, overrides=SMALL)
    assert bench("train", study, run_name("finetune")) == 2
    assert f"python -m bench train {study} {STAGE}`" in capsys.readouterr().err


def test_a_diverged_stage_makes_diverged_runs(home):
    wild = {"supervised": {"hidden": 8, "learning_rate": 1e30}}
    study = planted.write_study(home, algorithms=["finetune"], overrides=wild)
    assert bench("train", study, STAGE) == 0
    assert bench("train", study, run_name("finetune")) == bench("test", study, run_name("finetune")) == 0
    run = read_run(home / "results" / "tiny" / run_name("finetune"))
    assert run.status == "diverged" and run.episodes().empty


def test_a_stopped_stage_goes_on_to_the_same_bytes(home):
    """SIGTERM in the middle, then the same command again; augmentation draws from the global generator."""
    values = {"supervised": SMALL["supervised"] | {"augment": True}}
    train = {"steps": 300, "validate_every": 50, "validation_episodes": 8, "device": "cpu"}
    models = []
    for name in ("undisturbed", "disturbed"):
        study = planted.write_study(home, study=name, algorithms=BOTH, overrides=values, train=train)
        folder = home / "results" / name / STAGE
        if name == "disturbed":
            command = [sys.executable, "-m", "bench", "train", str(study), STAGE]
            process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            process.stderr.readline()  # the first validation
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 130 and (folder / checkpoint.NAME).exists()
        assert bench("train", study, STAGE) == 0
        models.append((folder / "model.safetensors").read_bytes())
    assert models[0] == models[1]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


def test_the_dag_has_one_stage_per_data_set_and_seed(workspace):
    study = workspace.study(
        algorithms=[*BOTH, "pixel_nn"],
        seeds=[0, 1],
        datasets={"glyphs": {"ways": [5, 10], "shots": [1, 5]}, "omniglot": {"ways": [5], "shots": [1]}},
    )
    printed = workspace.snakemake("--dry-run", "--printshellcmds", "--configfile", study)
    stages = [f"{dataset}/supervised/seed{seed}" for dataset in ("glyphs", "omniglot") for seed in (0, 1)]
    jobs = [line.split(" > ")[0].split()[-1] for line in printed.splitlines() if "-m bench train" in line]
    assert sorted(job for job in jobs if "supervised" in job) == stages
    assert len(jobs) == len(set(jobs)) == len(stages) + 5 * 3 * 2
    assert not any("bench test" in line and "supervised" in line for line in printed.splitlines())


def test_snakemake_trains_the_stage_first_and_repeats_what_depends_on_it(workspace):
    study = workspace.study(algorithms=BOTH, overrides={"supervised": {"hidden": 4, "batch_size": 8}})
    cell = "glyphs/5way_1shot"
    targets = [f"results/tiny/{cell}/{algorithm}/seed0/episodes.parquet" for algorithm in BOTH]
    workspace.snakemake(*targets, "--configfile", study)
    assert workspace.plan(*targets, "--configfile", study) == set()
    document = yaml.safe_load((workspace.folder / study).read_text())
    document["overrides"]["supervised"]["hidden"] = 5
    (workspace.folder / study).write_text(yaml.safe_dump(document))
    expected = {f"{verb} {cell}/{algorithm}/seed0" for verb in ("train", "test") for algorithm in BOTH}
    assert workspace.plan(*targets, "--configfile", study) == expected | {"train glyphs/supervised/seed0"}
    document["overrides"] = {"supervised": {"hidden": 4, "batch_size": 8}, "finetune": {"epochs": 7}}
    (workspace.folder / study).write_text(yaml.safe_dump(document))
    plan = workspace.plan(*targets, "--configfile", study)
    assert plan == {f"{verb} {cell}/finetune/seed0" for verb in ("train", "test")}
