"""A frozen network: its heads against scikit-learn and written-out oracles, its form of input, its weights."""

import dataclasses
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from algos.base import TaskSpec
from algos.baseline.finetune import Finetune
from algos.baseline.frozen import INPUTS, Frozen, logistic_regression
from algos.nets.conv4 import Conv4
from algos.nets.weights import load_weights
from bench.paths import ROOT
from bench.results.run_folder import read_run
from tests import planted
from tests.planted import RUN, bench, folder

COMMITTED = ROOT / "data" / "pretrained" / "omniglot_conv4.safetensors"


def learner(spec=None, **values):
    torch.manual_seed(0)
    return Frozen(spec or planted.spec(), Frozen.Params(**{"hidden": 8} | values))


@pytest.mark.parametrize("shot", [1, 5])
def test_logistic_regression_is_that_of_scikit_learn(shot, float64):
    features = F.normalize(torch.randn(3, 5 * shot, 20), dim=-1)
    labels = torch.arange(5).repeat_interleave(shot).expand(3, -1)
    ours = logistic_regression(features, F.one_hot(labels, 5).double())
    for x, y, weights in zip(features, labels, ours, strict=True):
        theirs = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x, y)
        np.testing.assert_allclose(weights.T, theirs.coef_, rtol=1e-5, atol=1e-7)


def test_logistic_regression_converges_for_many_examples(float64):
    features = F.normalize(torch.randn(1, 100, 5), dim=-1).abs()
    labels = torch.randint(0, 5, (100,))
    ours = logistic_regression(features, F.one_hot(labels, 5).double()[None])[0]
    theirs = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(
        features[0], labels
    )
    np.testing.assert_allclose(ours.T, theirs.coef_, rtol=1e-5, atol=1e-7)


def test_heads_of_means_are_what_they_are_called(float64):
    features, queries, labels = torch.randn(1, 6, 8), torch.randn(1, 4, 8), torch.tensor([[0, 0, 1, 1, 2, 2]])
    model = learner()
    means = features[0].view(3, 2, 8).mean(1)
    expected = -(queries[0][:, None] - means).square().sum(-1)
    torch.testing.assert_close(model.score(model.fit(features, labels, 3), queries)[0], expected)
    model = learner(head="cosine")
    means = F.normalize(features, dim=-1)[0].view(3, 2, 8).mean(1)
    expected = 10 * F.cosine_similarity(queries[0][:, None], means, dim=-1)
    torch.testing.assert_close(model.score(model.fit(features, labels, 3), queries)[0], expected)


def test_the_head_finetune_is_that_of_finetune(float64):
    features, queries, labels = (
        torch.randn(2, 6, 8),
        torch.randn(2, 4, 8),
        torch.tensor([[0, 0, 1, 1, 2, 2]] * 2),
    )
    ours, theirs = learner(head="finetune"), Finetune(planted.spec(), Finetune.Params())
    torch.testing.assert_close(
        ours.score(ours.fit(features, labels, 3), queries),
        theirs.score(theirs.fit(features, labels, 3), queries),
    )


@pytest.mark.parametrize("inputs", INPUTS)
def test_the_network_sees_its_own_size_colours_and_normalisation(inputs):
    model = learner(inputs=inputs, size=56).eval()
    x = torch.rand(1, 3, 1, 28, 28)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in INPUTS[inputs])
    big = F.interpolate(x[0], (56, 56), mode="bilinear", antialias=True, align_corners=False)
    plain = Conv4((3, 56, 56), 8).eval()
    plain.load_state_dict(model.encoder.inside.state_dict())
    from algos.nets.layers import Statistics

    expected = plain(((big.expand(-1, 3, -1, -1) - mean) / std).unsqueeze(0), Statistics.running())
    torch.testing.assert_close(model.embed(x), expected)


def test_weights_are_those_of_the_file_whatever_wrote_it(tmp_path):
    source = learner().encoder.inside
    for i, tensor in enumerate(source.state_dict().values()):
        tensor.fill_(0.01 * (i + 1))
    state = source.state_dict()
    safetensors.torch.save_file({f"encoder.{k}": v for k, v in state.items()}, tmp_path / "model.safetensors")
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in state.items()} | {"module.fc.weight": torch.ones(2)}},
        tmp_path / "a.pth",
    )
    torch.save(state, tmp_path / "b.pt")
    for name in ("model.safetensors", "a.pth", "b.pt"):
        loaded = learner(weights=str(tmp_path / name)).encoder.inside.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())


class Evil:
    """What a pickle can do: `print` stands for anything."""

    def __reduce__(self):
        return print, ("unpickled",)


def test_weights_that_do_not_fit_are_named(tmp_path, capsys):
    network = Conv4((1, 28, 28), 8)
    state = network.state_dict()

    def error(name, content=None, save=torch.save):
        if content is not None:
            save(content, tmp_path / name)
        with pytest.raises(ValueError, match=f"weights .*{name}") as caught:
            load_weights(network, str(tmp_path / name))
        return str(caught.value)

    assert "no such file" in error("missing.pt")
    assert "hidden" in error("wide.pt", Conv4((1, 28, 28), 9).state_dict())
    assert "1 of its" in error("fewer.pt", {k: v for k, v in state.items() if k != "blocks.0.weight"})
    assert "NaN" in error(
        "nan.safetensors", {k: v * float("nan") for k, v in state.items()}, safetensors.torch.save_file
    )
    assert "expected tensors by name" in error("list.pt", [1, 2])
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"a": Evil()}))
    assert "Pickled objects are not loaded" in error("evil.pt")
    torch.save({"a": Evil()}, tmp_path / "evil2.pt")
    assert "Pickled objects are not loaded" in error("evil2.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\0" * 5)
    assert "neither safetensors" in error("cut.safetensors")
    assert "unpickled" not in capsys.readouterr().out


def test_a_photo_of_a_data_set_keeps_its_colours():
    spec = TaskSpec("photos", "classification", (3, 84, 84), 5, 1, (0.5,) * 3, (0.2,) * 3)
    assert learner(spec, inputs="imagenet", size=32).embed(torch.rand(1, 2, 3, 84, 84)).shape == (
        1,
        2,
        8 * 2 * 2,
    )


def test_a_run_needs_no_training(home, capsys):
    study = planted.write_study(
        home, algorithms=["frozen"], overrides={"frozen": {"hidden": 32, "weights": str(COMMITTED)}}
    )
    assert bench("train", study, RUN.format("frozen")) == bench("test", study, RUN.format("frozen")) == 0
    result = read_run(folder(home, "frozen"))
    assert result.status == "untrained" and result.episodes()["accuracy"].mean() > 0.8
    wrong = planted.write_study(home, algorithms=["frozen"], overrides={"frozen": {"weights": "no/such.pt"}})
    assert bench("status", wrong) == 2
    assert "hyper-parameter weights of frozen: there is no file no/such.pt" in capsys.readouterr().err


def test_the_committed_weights_are_small_and_described():
    assert COMMITTED.stat().st_size <= 300_000
    assert COMMITTED.name in (COMMITTED.parent / "README.md").read_text()
    spec = dataclasses.replace(planted.spec(), way=5)
    learner(spec, hidden=32, weights=str(COMMITTED))
