"""The benchmarks run at tiny sizes: what they compare is equal, and what they write is complete. No timing is asserted."""

import dataclasses
import sys
from types import SimpleNamespace

import higher
import pandas as pd
import pytest
import torch
from torch import nn

from algos.metric.protonet import ProtoNet
from algos.nets.layers import ConvNorm
from algos.optimization.maml import MAML
from benchmarks import convolutions, maml, peers, plain, protonet, sampling, synthetic, table, testing
from benchmarks.__main__ import CASES, RESULTS, run
from benchmarks.timing import Comparison, Scale, Variant, measure
from tasks.seeds import torch_generator

TINY = Scale(
    hidden=4, classes=20, test_classes=10, tasks=2, way=3, episodes=4, set_sizes=(1, 12), blocks=1, seconds=0.001
)  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("benchmarks") / "results.csv"
    run(list(CASES), TINY, CPU, path)
    return pd.read_csv(path)


def test_every_case_fills_every_column(written):
    assert list(written.columns) == table.COLUMNS
    assert list(written["case"].unique()) == list(CASES)
    assert written.notna().all(axis=None)
    assert (written[["value", "wall", "ratio"]] > 0).all(axis=None)
    for _, group in written.groupby(["case", "name"]):
        assert len(group) >= 2 and group["variant"].is_unique
        assert group["ratio"].iloc[0] == 1
        torch.testing.assert_close(
            torch.tensor(group["ratio"].values),
            torch.tensor((group["value"] / group["value"].iloc[0]).values),
            rtol=0.01,
            atol=0.001,
        )


def test_the_committed_table_has_all_cases():
    committed = pd.read_csv(RESULTS)
    assert list(committed.columns) == table.COLUMNS
    for _, rows in committed.groupby("device"):
        assert set(rows["case"]) == set(CASES)
    assert (committed["threads"] == 1).all() and not committed["commit"].str.contains("dirty").any()


def test_new_rows_replace_those_of_the_same_device_and_case(tmp_path):
    path = tmp_path / "results.csv"
    row = dict.fromkeys(table.COLUMNS, "x") | {"value": 1.0}
    table.write(path, [row | {"case": "maml"}, row | {"case": "testing"}])
    table.write(path, [row | {"case": "maml", "device": "other"}])
    table.write(path, [row | {"case": "maml", "value": 2.0}])
    found = pd.read_csv(path)[["case", "device", "value"]].values.tolist()
    assert found == [["testing", "x", 1.0], ["maml", "other", 1.0], ["maml", "x", 2.0]]


@pytest.mark.parametrize("form", ["conv4", "conv4_stride"])
def test_the_check_of_maml_notices_another_result(form, monkeypatch):
    maml.check_equal(form, 2, CPU)
    adapt = plain.adapt
    monkeypatch.setattr(plain, "adapt", lambda *a, **k: adapt(*a[:5], 0.39, **k))
    with pytest.raises(AssertionError, match="not close"):
        maml.check_equal(form, 2, CPU)


class StandIn(nn.Module):
    """learn2learn's MAML, which needs a compiler to install: clones share the graph of the weights they come from."""

    def __init__(self, module: nn.Module, lr: float, first_order: bool, weights: dict | None = None):
        super().__init__()
        self.given = module, lr, first_order
        self.now = weights or dict(module.named_parameters())

    def clone(self) -> "StandIn":
        return StandIn(*self.given, dict(self.now))

    def adapt(self, loss: torch.Tensor) -> None:
        gradients = torch.autograd.grad(loss, list(self.now.values()), create_graph=not self.given[2])
        self.now = {k: w - self.given[1] * g for (k, w), g in zip(self.now.items(), gradients, strict=True)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(self.given[0], self.now, x)


@pytest.mark.parametrize("form", ["conv4", "conv4_stride"])
@pytest.mark.parametrize("name", ["higher", "learn2learn"])
def test_a_library_takes_the_same_meta_step(name, form, monkeypatch):
    library = higher if name == "higher" else SimpleNamespace(algorithms=SimpleNamespace(MAML=StandIn))
    model = synthetic.learner(MAML, CPU, backbone=form, hidden=4, inner_steps=2).double()
    episodes = synthetic.double(synthetic.episodes(2, 5, 1, 5, CPU))
    maml.check_peer(name, library, model, episodes)
    adapt = plain.adapt
    monkeypatch.setattr(plain, "adapt", lambda *a, **k: adapt(*a[:4], a[4] + 1, *a[5:], **k))
    with pytest.raises(AssertionError, match="not close"):
        maml.check_peer(name, library, model, episodes)


def test_a_library_that_cannot_be_imported_is_left_out_with_its_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    found, missing = peers.importable()
    assert list(found) == ["higher"] and "learn2learn" in missing["learn2learn"]


def test_the_check_of_protonet_notices_another_result(monkeypatch):
    protonet.check_equal(CPU)
    monkeypatch.setattr(ProtoNet, "score", lambda self, phi, features: features @ phi.transpose(1, 2))
    with pytest.raises(AssertionError, match="not close"):
        protonet.check_equal(CPU)


def test_the_check_of_convolutions_notices_another_result(monkeypatch):
    convolutions.check_equal(CPU)
    shuffled = lambda block, x, statistics: ConvNorm._together(block, x.flip(0), statistics)  # noqa: E731
    monkeypatch.setitem(convolutions.BACK_ENDS, "all tasks at once", shuffled)
    with pytest.raises(AssertionError, match="not close"):
        convolutions.check_equal(CPU)


def test_the_check_of_meta_test_notices_another_result(monkeypatch):
    split = synthetic.split(10, 20, CPU)
    model = synthetic.learner(ProtoNet, CPU, hidden=4).double()
    few, others = testing.draw(split, 3), testing.draw(split, 4)
    testing.check_equal(
        lambda: testing.ours(model, few, split), lambda: testing.one_by_one(model, few, split)
    )
    other = dataclasses.replace(few, query_y=others.query_y[1:])
    with pytest.raises(AssertionError):
        testing.check_equal(
            lambda: testing.ours(model, few, split), lambda: testing.one_by_one(model, other, split)
        )


def test_the_check_of_episodes_notices_wrong_labels_and_repeated_images():
    split = synthetic.numbered_split(20, 20, CPU)
    batch = plain.draw_episodes(split.images, torch_generator(CPU, "test"), 3, 5, 1, 15)
    sampling.check_valid(batch, 20)
    with pytest.raises(AssertionError, match="two labels"):
        sampling.check_valid(dataclasses.replace(batch, query_y=batch.query_y.roll(1, dims=1)), 20)
    repeated = batch.query_x.clone()
    repeated[0, 0] = repeated[0, 1]
    with pytest.raises(AssertionError, match="twice"):
        sampling.check_valid(dataclasses.replace(batch, query_x=repeated), 20)


def test_rates_are_medians_of_interleaved_blocks():
    """Clocks that are scripted: the order of the calls and the arithmetic are exact."""
    calls = []

    def scripted(name: str, seconds: list[float]) -> Variant:
        def time(runs: int) -> tuple[float, float]:
            calls.append((name, runs))
            return seconds.pop(0), 2.0

        return Variant(name, 6, time)

    first, second = scripted("a", [0.05, 0.5, 1.0, 3.0, 2.0]), scripted("b", [2.0, 1.0, 6.0, 3.0])
    rates = measure(Comparison("case", "name", "tasks", [first, second]), Scale(seconds=1.0))
    assert calls == [("a", 1), ("a", 2), ("b", 1)] + 3 * [("a", 4), ("b", 1)]
    assert [rate.value for rate in rates] == [12.0, 2.0]
    assert [rate.wall for rate in rates] == [12.0, 3.0]
