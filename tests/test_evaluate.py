"""Scores of episodes: the fast paths give what the plain one gives, and the measures are what they say."""

import dataclasses
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import algos
from bench.protocol import embedder, machine
from bench.protocol.embedder import Embedder
from bench.protocol.evaluate import evaluate_images
from bench.protocol.function_source import FunctionSource
from bench.protocol.provenance import now, provenance
from bench.protocol.scores import _classification_scores
from bench.protocol.sources import ImageSource, open_source
from bench.protocol.test import adaptation_ms
from bench.results.metrics import METRICS, main_metric
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes
from tasks.preparation.write import write_prepared
from tests import planted


@pytest.fixture(scope="module")
def split() -> ImageSplit:
    return planted.planted_split("test")


@pytest.fixture(scope="module")
def frozen(split) -> FrozenEpisodes:
    classes, per_class = split.images.shape[:2]
    return FrozenEpisodes.draw(classes, per_class, 30, planted.WAY, planted.SHOT, 4, "evaluate")


def learner(name: str):
    chosen = planted.small(algos.load(name))
    planted.trained(chosen, 3)
    return chosen


@pytest.mark.parametrize("name", ["protonet", "lstm", "pixel_nn"])
def test_embedding_once_equals_embedding_every_episode(name, split, frozen):
    chosen = learner(name)
    fast = evaluate_images(chosen, frozen, split, split, "inductive")
    tasks = frozen.batch(split, 0, 30)
    logits = planted.predictions(chosen, tasks)
    plain = _classification_scores(logits, tasks.query_y)
    for metric in ("accuracy", "nll", "brier", "confidence"):
        np.testing.assert_allclose(fast[metric], plain[metric], rtol=1e-4, atol=1e-5)


def test_an_embedder_embeds_each_split_once_and_tells_splits_apart(split, frozen):
    chosen = learner("protonet").eval()
    calls = []
    chosen.embed = lambda x, embed=chosen.embed: calls.append(x.shape[1]) or embed(x)
    embedder = Embedder(chosen)
    once = embedder(split, frozen.query)
    assert embedder(split, frozen.query) is once and len(calls) == 1
    darker = dataclasses.replace(split, images=split.images // 2)
    assert not torch.equal(embedder(darker, frozen.query), once)
    del darker
    assert len(embedder.kept) == 1, "features outlive their split"


@pytest.mark.parametrize("mode", ["inductive", "transductive"])
def test_batches_do_not_change_the_scores(mode, split, frozen, monkeypatch):
    chosen = learner("maml")
    together = evaluate_images(chosen, frozen, split, split, mode)
    monkeypatch.setattr(embedder, "PIXELS_PER_BATCH", {"cpu": 40 * planted.SIZE**2})
    apart = evaluate_images(chosen, frozen, split, split, mode)
    np.testing.assert_allclose(together["nll"], apart["nll"], rtol=1e-3, atol=1e-4)


def test_test_settings_are_restored(split, frozen):
    chosen = learner("maml").train()
    before = chosen.transductive, chosen.test_steps
    evaluate_images(chosen, frozen, split, split, "inductive")
    assert chosen.training and (chosen.transductive, chosen.test_steps) == before
    with pytest.raises(RuntimeError, match="broken"), chosen.testing(transductive=False, steps=7):
        assert not (chosen.training or chosen.transductive or torch.is_grad_enabled())
        assert chosen.test_steps == 7
        raise RuntimeError("broken")
    assert chosen.training and torch.is_grad_enabled() and (chosen.transductive, chosen.test_steps) == before


@pytest.mark.parametrize("transductive", [False, True])
def test_settings_that_are_not_named_stay(transductive):
    chosen = learner("maml").eval()
    with chosen.testing(transductive=transductive), chosen.testing(steps=2), chosen.testing():
        assert chosen.transductive is transductive and chosen.test_steps == 2


def test_measures():
    logits = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]]])
    target = torch.tensor([[0, 1, 2]])
    scores = _classification_scores(logits, target)
    p = logits[0].softmax(-1)
    assert scores["accuracy"][0] == pytest.approx((1 + 0 + 1 / 3) / 3), "a tie earns its share of the credit"
    assert scores["nll"][0] == pytest.approx(F.cross_entropy(logits[0], target[0]).item())
    assert scores["brier"][0] == pytest.approx((p - torch.eye(3)).square().sum(-1).mean().item())
    assert scores["confidence"][0] == pytest.approx(p.amax(-1).mean().item())
    assert "mse" not in scores and "coverage" not in scores


def test_a_collapsed_network_scores_chance():
    scores = _classification_scores(torch.zeros(1, 10, 5), torch.zeros(1, 10, dtype=torch.int64))
    assert scores["accuracy"][0] == pytest.approx(0.2)


def test_a_torchmeta_data_set_is_opened_by_its_name_in_a_study(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    write_prepared("torchmeta_planted", planted.pictures(), planted.meta())
    source = open_source("torchmeta:planted", None, torch.device("cpu"))
    assert source.spec(3, 1).dataset == "torchmeta:planted"
    assert source.part("test").images.shape[0] == 40


@pytest.mark.parametrize(
    ("source", "kind"), [(ImageSource, "classification"), (FunctionSource, "regression")]
)
def test_a_source_is_scored_by_the_main_metric_of_its_kind(source, kind):
    """Trainings name it themselves, so that an edit of the table of metrics repeats none."""
    metric = METRICS[main_metric(kind)]
    assert (source.metric, source.sign) == (metric.name, metric.sign)


def test_only_trainings_may_use_tf32():
    device = machine.set_up("cpu", torch.get_num_threads(), tf32=True)
    assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    machine.set_up("cpu", torch.get_num_threads())
    assert not (torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)
    assert provenance(device, now())["tf32"] is False, "a CPU has none"


def test_the_time_to_adapt_is_that_of_the_learner_not_of_what_else_runs(tmp_path, monkeypatch):
    """Tests run side by side: a learner that waits for the processor has not become slower."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    write_prepared("planted", planted.pictures(), planted.meta(), root=tmp_path / "prepared")
    source = open_source("planted", None, torch.device("cpu"))
    chosen, wait = learner("pixel_nn").eval(), 0.1
    adapt = chosen.adapt_to
    chosen.adapt_to = lambda episode: time.sleep(wait) or adapt(episode)
    frozen = source.frozen("test", 4, planted.WAY, planted.SHOT, 4, 0)
    assert 0 < adaptation_ms(chosen, source, frozen) < 1e3 * wait
