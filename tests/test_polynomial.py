"""Polynomials and the study of depth on them: the tasks, the networks, the reference that is told them, the figure."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import algos
from algos.base import TaskSpec
from bench.__main__ import main
from bench.protocol.function_source import evaluate_points
from bench.protocol.learner import build_learner
from bench.protocol.point_conditions import curve
from bench.protocol.sources import open_source
from bench.report.page import build_report
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tasks.functions import FunctionEpisodes, FunctionSampler
from tasks.generated import FUNCTIONS
from tasks.polynomial import Polynomials
from tasks.seeds import torch_generator

CPU = torch.device("cpu")
DEPTHS = load_study(Path(__file__).parents[1] / "config" / "polynomials.yaml")
OUTSIDE = Polynomials(**Polynomials.OUT_OF_RANGE)


def draw(tasks, *axes, functions=None):
    return FunctionEpisodes.draw(functions or Polynomials(), tasks, 40, 15, *axes)


def test_every_task_is_a_cubic_of_the_stated_coefficients():
    """Least squares on the support finds the coefficients, and predicts the queries without error."""
    for functions in (Polynomials(), OUTSIDE):
        frozen = draw(300, "cubics", functions=functions)
        x, y = frozen.x[..., 0].astype(float), frozen.y[..., 0].astype(float)
        for t in range(300):
            found = np.polyfit(x[t, :40], y[t, :40], 3)
            np.testing.assert_allclose(found[::-1], frozen.truth[t], atol=1e-5)
            np.testing.assert_allclose(np.polyval(found, x[t, 40:]), y[t, 40:], atol=1e-4)
        np.testing.assert_allclose(curve(frozen, 7, x[7]), y[7], atol=1e-5)


def test_coefficients_and_points_are_uniform():
    episodes = FunctionSampler(torch_generator("cpu", "test"), Polynomials()).sample(4000, 1, 40, 10)
    truth, x = episodes.truth, episodes.support_x
    assert truth.shape == (4000, 4) and truth.min() >= -1 and truth.max() <= 1
    torch.testing.assert_close(truth.mean(0), torch.zeros(4), atol=0.04, rtol=0)
    torch.testing.assert_close(truth.T.cov(), torch.eye(4) / 3, atol=0.02, rtol=0)
    assert -3 <= x.min() < -2.99 and 2.99 < x.max() <= 3
    assert x.mean().item() == pytest.approx(0, abs=0.02) and x.var().item() == pytest.approx(3, rel=0.02)
    powers = episodes.query_x ** torch.arange(4)
    torch.testing.assert_close(episodes.query_y[..., 0], (powers * truth.unsqueeze(1)).sum(-1))


def test_frozen_episodes_depend_on_their_axes_only_and_ranges_are_paired():
    many, few, outside = draw(50, "x", 0), draw(20, "x", 0), draw(20, "x", 0, functions=OUTSIDE)
    assert few.digest == draw(20, "x", 0).digest == many.head(20).digest
    assert len({few.digest, many.digest, draw(20, "x", 1).digest, outside.digest}) == 4
    np.testing.assert_allclose(outside.truth, few.truth + np.sign(few.truth))
    np.testing.assert_array_equal(outside.x, few.x)
    batch = many.batch(4, 7)
    np.testing.assert_array_equal(batch.truth, many.truth[4:7].astype(np.float32))
    np.testing.assert_array_equal(torch.cat([batch.support_y, batch.query_y], 1), many.y[4:7])


@pytest.mark.parametrize("kind", FUNCTIONS.values())
def test_an_episode_counts_at_most_twice_the_mean_square_of_the_largest_function(kind):
    """In any range. The square is convex in the parameters, or largest at an end of them: corners and a grid will do."""
    x, largest = np.linspace(*kind().x, 2001)[None], 0.0
    draws = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * len(kind.PARAMETERS)), -1).reshape(
        -1, len(kind.PARAMETERS)
    )
    for ranges in ({}, *({shift: bounds} for shift, bounds in kind.OUT_OF_RANGE.items())):
        functions = kind(**ranges)
        values = functions.value(functions.parameters(draws), x)
        largest = max(largest, np.square(values).mean(1).max())
    assert kind.LARGEST_MSE == pytest.approx(2 * largest, rel=0.15)


def test_the_networks_of_the_study_have_as_many_parameters_at_every_depth():
    source = open_source("polynomial", None, CPU)
    counts, layers = {}, {}
    for run in DEPTHS.runs():
        learner = build_learner(DEPTHS.training_job(run), source)
        counts[run.algorithm] = sum(p.numel() for p in learner.parameters())
        layers[run.algorithm] = len(learner.net.backbone.layers)
    assert set(layers.values()) == {1, 2, 3, 4, 5} and len(counts) == 10
    assert all(name.endswith(f"depth{depth}") for name, depth in layers.items())
    assert max(abs(n / 40_000 - 1) for n in counts.values()) < 0.01


def test_a_network_that_is_told_the_task_learns_to_compute_it():
    source = open_source("polynomial", None, CPU)
    kind, spec = algos.load("conditioned"), source.spec(1, 40)
    torch.manual_seed(0)
    learner = kind(spec, kind.resolve("conditioned", spec, {"learning_rate": 0.003}))
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.003)
    frozen, tasks = source.frozen("test", 100, 1, 40, 15, 0), source.sampler("told")
    before = evaluate_points(learner, frozen, CPU)["mse"].mean()
    for _ in range(400):
        learner.meta_update(tasks, optimizer)
    assert evaluate_points(learner, frozen, CPU)["mse"].mean() < 0.1 * before


def test_there_must_be_something_to_be_told():
    kind = algos.load("conditioned")
    with pytest.raises(ValueError, match="data set other is not generated"):
        kind(TaskSpec("other", "regression", (1,), 1, 5), kind.Params())


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a study of two depths, through all stages."""
    root = tmp_path_factory.mktemp("depths")
    study = {
        "study": "depths",
        "datasets": {"polynomial": {"shots": [40]}},
        "variants": {
            f"{name}_{depth}": {"algorithm": name, "params": {"depth": depth, "hidden": 8}}
            for name in ("maml", "conditioned")
            for depth in (1, 3)
        },
        "train": {"steps": 5, "validate_every": 5, "validation_episodes": 8, "device": "cpu"},
        "test": {"episodes": 20, "query": 5},
        "shifts": {"episodes": 10, "severities": {"coefficients": [1]}},
    }
    path = root / "depths.yaml"
    path.write_text(yaml.safe_dump(study))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RESULTS", "REPORTS"):
            patch.setenv(f"{name}_ROOT", str(root / name.lower()))
        for variant in study["variants"]:
            for verb in ("train", "test"):
                assert main([verb, str(path), f"polynomial/1way_40shot/{variant}/seed0"]) == 0
        summarize(load_study(path))
        write_claims(load_study(path))
        return build_report(load_study(path))


def test_the_report_draws_the_error_against_the_depth(page):
    text = page.read_text()
    assert 'id="figure-depth-polynomial-1way-40shot"' in text
    assert (page.parent / "figures" / "depth-polynomial-1way-40shot.pdf").exists()
    alt = re.search(r'aria-label="(Polynomial 40-shot, mean squared error against depth[^"]+)"', text)[1]
    number = r"[\d.]+ \([\d.]+ to [\d.]+\)"
    for title in ("MAML", "Told the task"):
        assert re.search(f"{title} {number} at 1, {number} at 3", alt)


def test_the_reference_is_marked_and_never_the_best(page):
    text = page.read_text()
    assert re.search(r"<li><b>Polynomial 40-shot.</b> Best: MAML \(depth \d, hidden 8\)", text)
    body, floor = re.search(
        r'<table>.*?<tbody>(.*?)</tbody>\s*<tbody class="floor">(.*?)</tbody>', text, re.S
    ).groups()
    assert "MAML" in body and "Told" not in body and "Told" in floor
    assert "larger coefficients" in text


def test_a_study_of_nothing_is_refused(tmp_path):
    path = tmp_path / "none.yaml"
    path.write_text(yaml.safe_dump({"study": "none", "datasets": {"polynomial": {"shots": [40]}}}))
    with pytest.raises(ValueError, match="there are none, and no variants"):
        load_study(path)
