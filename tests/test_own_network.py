"""`backbone: my/net.py:build`: an own network in every learner with an encoder, and what is said of one that does not fit."""

import dataclasses

import pytest
import torch

import algos
from algos.hyper import OWN
from algos.nets.backbones import build_backbone
from algos.nets.conv4 import Conv4
from algos.nets.layers import Statistics
from bench import load_learner
from bench.paths import ROOT
from bench.protocol.fingerprint import code_digest, code_files
from tests import planted
from tests.planted import RUN, bench, folder

NETWORK = """
from torch import nn
from blocks import block

def build(spec):
    channels = spec.input_shape[0]
    return nn.Sequential(block(channels, 8), block(8, 8), block(8, 8), block(8, 8), nn.Flatten())
"""
BLOCKS = """
from torch import nn

def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)
    )
"""


def takes_own(name):
    param = algos.card(name).params.get("backbone")
    return param is not None and OWN in (param.choices or ())


LEARNERS = [name for name in algos.discover() if takes_own(name)]


@pytest.fixture
def network(tmp_path):
    """An own network with a helper beside it, as the value of `backbone`."""
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    return f"{tmp_path / 'net.py'}:build"


def test_every_learner_with_an_encoder_takes_one():
    assert {
        "protonet",
        "matching",
        "siamese",
        "metaopt_ridge",
        "metaopt_svm",
        "alpaca",
        "snail",
        "caml",
    } <= set(LEARNERS)
    assert {"lstm", "mann", "ntm", "anil"} <= set(LEARNERS)
    assert OWN in algos.pretraining_card("supervised").params["backbone"].choices


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_with_it_trains_and_keeps_the_contract(name, network):
    learner = planted.small(algos.load(name), backbone=network)
    if learner.trainable:
        before = [weight.clone() for weight in learner.encoder.parameters()]
        planted.trained(learner, 2)
        after = list(learner.encoder.parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), (
            "the network is trained"
        )
    learner.double()
    tasks = planted.episodes(tasks=2)
    tasks = dataclasses.replace(tasks, support_x=tasks.support_x.double(), query_x=tasks.query_x.double())
    together = planted.predictions(learner, tasks)
    alone = planted.predictions(learner, dataclasses.replace(tasks, query_x=tasks.query_x[:, :1]))
    torch.testing.assert_close(alone, together[:, :1], rtol=1e-9, atol=1e-9)
    if "transductive" in learner.modes:
        both = planted.predictions(learner, tasks, transductive=True)
        assert (both - together).abs().max() > 1e-4
        parts = {key: getattr(tasks, key)[:1] for key in ("support_x", "support_y", "query_x", "query_y")}
        one = planted.predictions(learner, dataclasses.replace(tasks, **parts), transductive=True)
        torch.testing.assert_close(one, both[:1], rtol=1e-9, atol=1e-9)


def test_it_equals_the_built_in_network_of_the_same_weights(network):
    torch.manual_seed(0)
    ours, builtin = build_backbone(network, 8, planted.spec()), Conv4((1, 28, 28), 8)
    assert ours.features == builtin.features
    for mine, theirs in zip(ours.network[:4], builtin.blocks, strict=True):
        mine[0].weight.data.copy_(theirs.weight.data)
        mine[1].weight.data.copy_(theirs.gamma.data)
    x = torch.rand(2, 6, 1, 28, 28)
    for _ in range(2):  # in training, running averages follow
        statistics = Statistics.batch()
        torch.testing.assert_close(
            ours(x.flatten(0, 1)[None], Statistics.batch()), builtin(x.flatten(0, 1)[None], statistics)
        )
        statistics.remember()
    ours.eval(), builtin.eval()
    state = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    torch.testing.assert_close(
        ours(x, Statistics.running()), builtin(x, Statistics.running()), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        ours(x, Statistics.batch()), builtin(x, Statistics.batch()), rtol=1e-4, atol=1e-5
    )
    assert all(torch.equal(state[name], tensor) for name, tensor in ours.state_dict().items()), (
        "a test changes nothing"
    )


WRONG = {
    "return 3": "must return a torch.nn.Module, not int",
    "return nn.Conv2d(1, 4, 3)": r"gave torch.float32 \[3, 4, 26, 26\], expected float \[3, features\]",
    "return nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, -1)))": r"\[1, 2352\], expected float \[3, features\]",
    "return nn.Sequential(nn.Flatten(), nn.Linear(100, 4))": "cannot take images .* RuntimeError",
    "return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())": "another size or number of channels",
    "class N(nn.Flatten):\n        def forward(self, x): return super().forward(x) * float('nan')\n    return N()": "NaN or infinite",
    "class N(nn.Flatten):\n        def forward(self, x): return super().forward(x) + torch.rand(1)\n    return N()": "nothing may be random",
    "class N(nn.Flatten):\n        def forward(self, x): return super().forward(x) - x.mean()\n    return N()": "depend on the other images",
    "class N(nn.Flatten):\n        def forward(self, x): return {'f': x}\n    return N()": "returns dict, not a tensor",
    "n = nn.Flatten(); n.w = nn.Parameter(torch.ones(2).int(), False); return n": "parameter w is torch.int32, not float",
}  # fmt: skip


@pytest.mark.parametrize("body", WRONG)
def test_what_is_wrong_is_named(body, tmp_path):
    (tmp_path / "net.py").write_text(f"import torch\nfrom torch import nn\ndef build(spec):\n    {body}\n")
    with pytest.raises(ValueError, match=f"backbone .*net.py:build: .*{WRONG[body]}"):
        build_backbone(f"{tmp_path / 'net.py'}:build", 8, planted.spec())


def test_a_file_or_function_that_is_not_there_is_named(network):
    with pytest.raises(FileNotFoundError, match="no file .*nett.py"):
        build_backbone(network.replace("net.py", "nett.py"), 8, planted.spec())
    with pytest.raises(ValueError, match="has no function 'biuld'; it has block, build"):
        build_backbone(network.replace("build", "biuld"), 8, planted.spec())


def test_learners_that_adapt_every_weight_refuse_it(network, home, capsys):
    study = planted.write_study(home, algorithms=["maml"], overrides={"maml": {"backbone": network}})
    assert bench("status", study) == 2
    assert "not one of conv4, conv4_stride" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named_when_the_study_is_read(home, capsys):
    study = planted.write_study(home, overrides={"protonet": {"backbone": "no/net.py:build"}})
    assert bench("status", study) == 2
    assert "hyper-parameter backbone of protonet: there is no file no/net.py in" in capsys.readouterr().err


def test_a_run_with_it_is_trained_tested_and_used(network, home):
    study = planted.write_study(home, overrides={"protonet": {"backbone": network}})
    assert bench("train", study, RUN.format("protonet")) == bench("test", study, RUN.format("protonet")) == 0
    images = planted.pictures()[200:203, 0]
    assert load_learner(folder(home)).adapt(images, list("abc")).predict(images).shape == (3, 3)


def test_its_code_is_code_of_the_training(network, tmp_path):
    plain, values = code_files("train", "protonet"), {"backbone": network}
    added = set(code_files("train", "protonet", values)) - set(plain)
    assert added == {tmp_path / "net.py", tmp_path / "blocks.py", ROOT / "algos" / "nets" / "own.py"}
    before = code_digest("train", "protonet", values)
    (tmp_path / "blocks.py").write_text(BLOCKS + "# edited\n")
    assert code_digest("train", "protonet", values) != before
    assert code_digest("train", "protonet") != before


def test_a_wrong_network_fails_before_its_training(tmp_path, home, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef build(spec):\n    return nn.Conv2d(1, 4, 3)\n"
    )
    study = planted.write_study(home, overrides={"protonet": {"backbone": f"{tmp_path / 'net.py'}:build"}})
    assert bench("train", study, RUN.format("protonet")) == 2
    assert "expected float [3, features]" in capsys.readouterr().err
    written = {path.name for path in folder(home).iterdir()}
    assert not written & {"run.json", "model.safetensors", "checkpoint.pt"}  # the folder holds a lock
