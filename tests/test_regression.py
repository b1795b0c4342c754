"""What every learner promises in regression, the reference Gaussian process, and how regression is measured."""

import csv
import dataclasses
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, ExpSineSquared

import algos
from algos.base import MetaLearner, TaskSpec
from algos.baseline.gp import GaussianProcess, moments
from bench.__main__ import main
from bench.protocol.conditions import point_conditions, point_fits
from bench.protocol.evaluate import evaluate_points
from bench.protocol.loop import learning_rate
from bench.protocol.scores import _regression_scores
from bench.protocol.sources import open_source
from bench.report.report import build_report
from bench.results.run_folder import read_run
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tasks.episodes import Episodes
from tasks.functions import FunctionEpisodes, FunctionSampler
from tasks.seeds import torch_generator
from tasks.sinusoid import Sinusoids
from tests.planted import SMALL

NAMES = [name for name in algos.discover() if "regression" in algos.load(name).tasks]
ONLY = [name for name in NAMES if "classification" not in algos.load(name).tasks]
SPEC = TaskSpec("sinusoid", "regression", (1,), 1, 5, parameters=3)
CPU = torch.device("cpu")


def small(name, **overrides) -> MetaLearner:
    """The learner with its settings for sinusoids at test size."""
    kind = algos.load(name)
    known = {key: value for key, value in SMALL.items() if key in kind.Params.__dataclass_fields__}
    torch.manual_seed(0)
    return kind(SPEC, kind.resolve(name, SPEC, known | overrides)).eval()


def waves(tasks=3, shot=5, query=7, name="regression") -> Episodes:
    return _cast(sampler(name).sample(tasks, 1, shot, query), torch.float64)


def sampler(name) -> FunctionSampler:
    return FunctionSampler(torch_generator("cpu", name), Sinusoids())


def _cast(tasks, dtype) -> Episodes:
    names = ("support_x", "support_y", "query_x", "query_y", "truth")
    return dataclasses.replace(tasks, **{name: getattr(tasks, name).to(dtype) for name in names})


def predictions(learner, tasks) -> torch.Tensor:
    with torch.no_grad():
        return learner.predict(learner.adapt_to(tasks), tasks.query_x)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_and_queries_do_not_see_each_other(name):
    learner, tasks = small(name).double(), waves()
    together = predictions(learner, tasks)
    assert together.shape == (3, 7, 1) and torch.isfinite(together).all()
    alone = dataclasses.replace(tasks, query_x=tasks.query_x[:, :1])
    torch.testing.assert_close(predictions(learner, alone), together[:, :1], rtol=1e-9, atol=1e-9)
    for t in range(3):
        names = ("support_x", "support_y", "query_x", "query_y", "truth")
        one = dataclasses.replace(tasks, **{name: getattr(tasks, name)[t : t + 1] for name in names})
        torch.testing.assert_close(predictions(learner, one), together[t : t + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_sees_the_support_or_is_a_reference_that_is_told_the_task(name):
    """Never both: what is not seen may be anything."""
    learner, tasks = small(name).double(), waves()
    told = type(learner).adapt_to is not MetaLearner.adapt_to
    seen, hidden = ("truth", "support_y") if told else ("support_y", "truth")
    anything = dataclasses.replace(tasks, **{hidden: torch.full_like(getattr(tasks, hidden), torch.nan)})
    if told:
        assert learner.yardstick
        anything = dataclasses.replace(anything, support_x=torch.full_like(tasks.support_x, torch.nan))
    torch.testing.assert_close(predictions(learner, anything), predictions(learner, tasks), rtol=0, atol=0)
    other = dataclasses.replace(tasks, **{seen: -getattr(tasks, seen)})
    assert (predictions(learner, tasks) - predictions(learner, other)).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_distribution_is_around_the_prediction_and_narrower_near_the_support(name):
    learner, tasks = small(name).double(), waves()
    with torch.no_grad():
        phi = learner.adapt_to(tasks)
        known = learner.distribution(phi, tasks.query_x)
        if known is None:
            assert type(learner).distribution is MetaLearner.distribution
            return
        mean, variance = known
        torch.testing.assert_close(mean, learner.predict(phi, tasks.query_x))
        assert (variance.expand_as(mean) > 0).all()
        assert learner.distribution(phi, tasks.support_x)[1].mean() < variance.mean()


@pytest.mark.parametrize("name", ONLY)
def test_every_hyper_parameter_has_an_effect(name):
    """As test_contract.py says of those that classify."""
    kind = algos.load(name)
    usual = {"steps": 10} if kind.trainable else {}
    needed = {"length": {"prior": "periodic"}, "halve_every": {"schedule": "halve", "halve_every": 2}}
    needed |= {"clip_norm": {"clip_norm": 0.0}}
    others = {"train_shot": [6], "clip_norm": [1e-3]}
    for entry in dataclasses.fields(kind.Params):
        if entry.name in ("train_way", "train_labels"):  # generated tasks have no classes
            continue
        base = usual | needed.get(entry.name, {})
        used = getattr(small(name, **base).params, entry.name)
        values = others.get(entry.name) or entry.metadata["choices"] or [2 * used]
        for value in (value for value in values if value != used):
            plain, changed = (_outcome(small(name, **o)) for o in (base, base | {entry.name: value}))
            assert not torch.equal(plain, changed), f"{entry.name} = {value!r} changes nothing"


def _outcome(learner):
    """Predictions after two updates, where a learner is trained."""
    if learner.trainable:
        optimizer, tasks = torch.optim.Adam(learner.parameters(), lr=1e-3), sampler("two updates")
        for step in (1, 2):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(learner.params, step)
            learner.train().meta_update(tasks, optimizer)
    return predictions(learner.eval(), _cast(waves(), torch.float32))


def test_the_prior_has_the_moments_of_the_tasks():
    """Against a million sinusoids, also of another range."""
    for amplitude, phase in [((0.1, 5.0), (0.0, math.pi)), ((5.0, 10.0), (0.3, 1.0))]:
        draw = np.random.default_rng(0)
        a, p = (draw.uniform(*bounds, 1_000_000) for bounds in (amplitude, phase))
        weights = np.stack([a * np.cos(p), -a * np.sin(p)])
        mean, covariance = moments(amplitude, phase)
        np.testing.assert_allclose(mean, weights.mean(1), atol=0.01)
        np.testing.assert_allclose(covariance, np.cov(weights), atol=0.03)


@pytest.mark.parametrize("prior", ["sinusoids", "periodic"])
def test_the_gaussian_process_is_scikit_learns(prior, float64):
    ours, tasks = GaussianProcess(SPEC, GaussianProcess.Params(prior=prior, noise=0.1, length=0.7)), waves()
    mean, variance = ours.distribution(ours.adapt(tasks.support_x, tasks.support_y, 1), tasks.query_x)
    square = ours.weight_covariance.trace() + ours.weight_mean.square().sum()
    for t in range(3):
        x, y, query = tasks.support_x[t], tasks.support_y[t, :, 0], tasks.query_x[t]
        if prior == "periodic":
            kernel = ConstantKernel(float(square) / 2) * ExpSineSquared(0.7, 2 * math.pi)
            process = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(x.numpy(), y.numpy())
            expected, deviation = process.predict(query.numpy(), return_std=True)
        else:
            expected, deviation = _bayesian_linear(ours, x, y, query)
        np.testing.assert_allclose(mean[t, :, 0], expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(variance[t, :, 0], deviation**2 + 0.1, rtol=1e-8)


def _bayesian_linear(ours, x, y, query):
    """The same posterior in weight space: precisions of the two weights add up."""
    basis, at = (torch.cat([points.sin(), points.cos()], dim=-1) for points in (x, query))
    prior = torch.linalg.inv(ours.weight_covariance)
    covariance = torch.linalg.inv(prior + basis.T @ basis / 0.1)
    weights = covariance @ (prior @ ours.weight_mean + basis.T @ y / 0.1)
    return at @ weights, (at @ covariance * at).sum(-1).sqrt()


def test_the_true_prior_needs_two_points_and_the_period_alone_needs_more():
    frozen = FunctionEpisodes.draw(Sinusoids(), 200, 5, 15, "gp")
    errors = {
        prior: evaluate_points(small("gp", prior=prior, noise=1e-4), frozen, CPU)["mse"].mean()
        for prior in ("sinusoids", "periodic")
    }
    assert errors["sinusoids"] < 1e-3 < 0.05 < errors["periodic"] < 1.5


def test_measures():
    """Two queries at one and three standard deviations: half of them are inside the interval."""
    mean, variance = torch.zeros(1, 2, 1), torch.full((1, 1, 1), 4.0).expand(1, 2, 1)
    scores = _regression_scores(mean, variance, torch.tensor([[[2.0], [-6.0]]]), 100.0)
    assert scores["mse"].item() == 20 and scores["coverage"].item() == 0.5
    expected = -torch.distributions.Normal(0.0, 2.0).log_prob(torch.tensor([2.0, -6.0])).mean()
    torch.testing.assert_close(scores["nll"], expected.view(1))
    alone = _regression_scores(mean, None, torch.ones(1, 2, 1), 100.0)
    assert alone["mse"].item() == 1 and alone["nll"].isnan().all() and alone["coverage"].isnan().all()


def test_a_learner_that_diverges_on_a_task_counts_as_far_off_there():
    mean = torch.tensor([torch.nan, torch.inf, 1e20, 3.0]).view(4, 1, 1)
    assert _regression_scores(mean, None, torch.zeros(4, 1, 1), 50.0)["mse"].tolist() == [50, 50, 50, 9]


def test_intervals_of_the_right_width_cover():
    """Data from the periodic prior itself, with its noise: 95 % of the targets lie in the 95 % interval."""
    learner = small("gp", prior="periodic").double()
    x = torch.rand(400, 20, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 10 - 5
    noisy = learner.covariance(x, x) + learner.params.noise * torch.eye(20)
    y = torch.linalg.cholesky(noisy) @ torch.randn(
        400, 20, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    mean, variance = learner.distribution(learner.adapt(x[:, :5], y[:, :5], 1), x[:, 5:])
    coverage = _regression_scores(mean, variance, y[:, 5:], 100.0)["coverage"].mean().item()
    assert coverage == pytest.approx(0.95, abs=0.01)


@pytest.fixture
def asked():
    """A source, frozen episodes, and a test specification with both shifts and three numbers of steps."""
    source = open_source("sinusoid", None, CPU)
    spec = {
        "study_seed": 0,
        "shifts": {"episodes": 20, "severities": {"amplitude": [1], "phase": [1]}},
        "experiments": {"episodes": 10, "steps": [0, 1, 5]},
    }
    return source, source.frozen("test", 30, 1, 5, 15, 0), spec


@pytest.mark.parametrize("name", ["maml", "anil", "reptile", "meta_lstm"])
def test_steps_are_varied_where_there_is_an_inner_loop(name, asked):
    source, frozen, spec = asked
    learner = small(name)
    usual = learner.test_steps
    found = [(c.shift, c.test_steps, s["mse"]) for c, _, s in point_conditions(source, learner, frozen, spec)]
    assert [(shift, steps, len(mse)) for shift, steps, mse in found] == [
        ("none", -1, 30), ("amplitude", -1, 20), ("phase", -1, 20), ("none", 0, 10), ("none", 1, 10), ("none", 5, 10)
    ]  # fmt: skip
    assert learner.test_steps == usual > 0
    assert len({float(mse.mean()) for _, steps, mse in found if steps >= 0}) == 3


def test_learners_without_an_inner_loop_have_one_number_of_steps(asked):
    source, frozen, spec = asked
    alone = list(point_conditions(source, small("gp"), frozen, spec))
    assert [c.test_steps for c, _, _ in alone] == [-1] * 3
    assert all(np.isfinite(scores["coverage"]).all() for _, _, scores in alone)


def test_fits_are_of_the_first_episode_in_and_out_of_range(asked):
    source, frozen, spec = asked
    fits = point_fits(source, small("gp"), frozen, spec)
    assert list(fits) == ["none", "amplitude", "phase"]
    fit = fits["none"]
    np.testing.assert_allclose(fit["support"][1], frozen.y[0, :5, 0], atol=1e-4)
    np.testing.assert_allclose(fit["mean"], fit["truth"], atol=0.5)
    assert fit["x"][0] == -5 and fit["x"][-1] == 5
    assert max(map(abs, fits["amplitude"]["truth"])) > Sinusoids.OUT_OF_RANGE["amplitude"][0] * 0.9
    assert point_fits(source, small("maml"), frozen, spec)["none"]["deviation"] is None


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a study of the Gaussian process and of a MAML of ten updates, through all stages."""
    root = tmp_path_factory.mktemp("regression")
    study = {
        "study": "waves",
        "datasets": {"sinusoid": {"shots": [5]}},
        "algorithms": ["gp", "maml"],
        "train": {"steps": 10, "validate_every": 10, "validation_episodes": 8, "device": "cpu"},
        "test": {"episodes": 20, "query": 5},
        "shifts": {"episodes": 10, "severities": {"amplitude": [1], "phase": [1]}},
        "experiments": {"episodes": 20, "steps": [1, 2, 10]},
    }
    path = root / "waves.yaml"
    path.write_text(yaml.safe_dump(study))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RESULTS", "REPORTS"):
            patch.setenv(f"{name}_ROOT", str(root / name.lower()))
        for algorithm in study["algorithms"]:
            for verb in ("train", "test"):
                assert main([verb, str(path), f"sinusoid/1way_5shot/{algorithm}/seed0"]) == 0
        summarize(load_study(path))
        write_claims(load_study(path))
        return build_report(load_study(path))


def test_a_regression_has_no_confidence(page):
    for algorithm in ("gp", "maml"):
        run = read_run(page.parents[2] / f"results/waves/sinusoid/1way_5shot/{algorithm}/seed0")
        assert run.tested and len(run.calibration()) == 0 and run.episodes()["ece"].isna().all()
    assert "No learner of this study gives probabilities" in page.read_text()


def test_likelihood_and_coverage_are_cells_and_do_not_rank(page):
    tables = page.parents[2] / "results" / "waves" / "tables"
    cells = pd.read_csv(tables / "cells.csv")
    assert set(cells.query("algorithm == 'gp'")["metric"]) == {"mse", "nll", "coverage"}
    assert set(cells.query("algorithm == 'maml'")["metric"]) == {"mse"}
    clean = cells.query("algorithm == 'gp' and shift == 'none'").set_index("metric")["mean"]
    assert clean["nll"] < 0 and clean["coverage"] > 0.9
    ranks = pd.read_csv(tables / "ranks.csv").query("conditions == 'clean'")
    assert ranks["n_blocks"].tolist() == [1, 1] and ranks["algorithm"].iloc[0] == "gp"


def test_the_report_tells_steps_and_coverage(page):
    rows = list(csv.DictReader((page.parent / "tables" / "regression.csv").open()))
    assert [row["Algorithm"] for row in rows] == ["MAML", "Gaussian process"]
    maml, process = rows
    assert float(maml["Squared error: 1 step"].split()[0]) > float(
        process["Squared error: in range"].split()[0]
    )
    assert maml["Share in the 95 % interval: in range"] == process["Squared error: 10 steps"] == "–"
    assert float(process["Share in the 95 % interval: other phase"].split()[0]) > 90


def test_the_report_draws_curves_and_names_no_reference_as_the_best(page):
    text = page.read_text()
    for shift in ("none", "amplitude", "phase"):
        assert f'id="figure-fits-sinusoid-1way-5shot-{shift}"' in text
        assert (page.parent / "figures" / f"fits-sinusoid-1way-5shot-{shift}.pdf").exists()
    assert 'id="figure-other-sinusoid-1way-5shot"' in text
    assert "Best: MAML" in text and "Best: Gaussian process" not in text
    assert re.search(r"Gaussian process: mean squared error [\d.]+ along the curve, 95 % band ± [\d.]+", text)


def test_the_noisy_split_adds_noise_to_the_same_tasks_in_training_and_at_test():
    plain, noisy = (open_source("sinusoid", split, CPU) for split in (None, "noisy"))
    a, b = (source.frozen("test", 400, 1, 5, 15, 0) for source in (plain, noisy))
    np.testing.assert_array_equal(a.x, b.x)
    assert (b.y - a.y).var() == pytest.approx(0.02, rel=0.1) and a.digest != b.digest
    known = noisy.sampler("x").sample(400, 1, 5, 15), plain.sampler("x").sample(400, 1, 5, 15)
    assert not torch.equal(known[0].support_y, known[1].support_y)
    assert noisy.split_name == "noisy" and plain.split_name == "generated"
    with pytest.raises(ValueError, match="has no split 'lake'"):
        open_source("sinusoid", "lake", CPU)
