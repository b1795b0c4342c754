"""What every algorithm file promises, whoever wrote it. A new file is tested without a change here."""

import dataclasses
import functools
import inspect
import io

import pytest
import torch
from rich.console import Console

import algos
from algos.base import EmbeddingLearner, TaskSpec
from algos.hyper import OWN
from bench.protocol.optimizer import learning_rate
from bench.verbs.list import overview
from tests import planted

FAMILIES = {
    "model": "model-based",
    "optimization": "optimization-based",
    "metric": "metric-based",
    "baseline": "baseline",
}
EVERY = algos.discover()
ALGORITHMS = {name: path for name, path in EVERY.items() if "classification" in algos.load(name).tasks}
"""Those that classify; what learners promise in regression is in test_regression.py."""
TRAINED = [name for name in ALGORITHMS if algos.load(name).trainable]
UPDATES = {"model-based": 300, "snail": 400, "mann": 800, "ntm": 800, "metanet": 60}
UPDATES |= {
    "anil": 200,
    "reptile": 40,
    "meta_lstm": 40,
    "sca": 40,
    "mamlpp": 80,
    "supervised": 120,
    "supervised_cosine": 300,
}
"""By family or by name. Black-box learners also have to learn how to compare, memories how to store and to find; MetaNet
starts from gradients. The others need 120; of them, the dearest inner loops
fewer, and ANIL's single step of the head more."""
ENOUGH = 0.005
"""Loss at which a training may end early. At more, a learner is passed by chance, before its rate has decayed."""
NOISE = 0.04
"""Of the pictures of the problem to be solved, so that memories find what they look for within their updates."""


@pytest.fixture(scope="module")
def solved():
    """By name: the learner after meta-training on the planted problem, its losses, and its logits of `held_out`; once for all tests."""
    learners = {}

    def get(name):
        if name not in learners:
            learner_class = algos.load(name)
            updates = UPDATES.get(name, UPDATES.get(learner_class.family, 120))
            sizes = {"steps": updates} if learner_class.trainable else {}
            if learner_class.family == "optimization-based":
                sizes["meta_batch"] = 4
            learner = planted.small(learner_class, **sizes)
            if learner.pretraining:
                steps = UPDATES.get(learner.pretraining, 400)
                shared = planted.small_pretraining(learner.pretraining, steps=steps, learning_rate=0.01)
                planted.trained(shared, steps, noise=NOISE)
                learner.take_encoder(shared)
            losses = planted.trained(learner, updates, enough=ENOUGH, noise=NOISE)
            learners[name] = (learner, losses, planted.predictions(learner, held_out()))
        return learners[name]

    return get


def held_out():
    return planted.episodes(tasks=100, noise=NOISE)


def share(logits, labels):
    """Accuracy of logits `[tasks, queries, way]`."""
    return (logits.argmax(-1) == labels).float().mean().item()


@pytest.mark.parametrize("name", EVERY)
def test_a_file_states_its_facts(name):
    learner = algos.load(name)
    assert learner.title and learner.citation
    assert learner.family == FAMILIES[EVERY[name].parent.name]
    assert set(learner.tasks) <= {"classification", "regression"} and learner.tasks
    assert learner.paper_mode in learner.modes
    assert "Deviations" in inspect.getmodule(learner).__doc__
    assert all(entry.metadata.get("doc") for entry in dataclasses.fields(learner.Params)), (
        "declare with hyper(...)"
    )
    for task, values in learner.presets.items():
        learner.Params().override(f"preset {task} of {name}", values)


def test_the_list_has_every_name_and_no_cut_word_in_80_columns():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(overview())
    listed = console.export_text()
    assert all(f" {name} " in listed for name in EVERY)
    assert "…" not in listed and "Hochreiter " in listed


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("transductive", [False, True])
def test_shapes(name, transductive):
    learner = planted.small(algos.load(name))
    if transductive and "transductive" not in learner.modes:
        pytest.skip(f"{name} has no transductive mode")
    logits = planted.predictions(learner, planted.episodes(tasks=2, query=4), transductive)
    assert logits.shape == (2, planted.WAY * 4, planted.WAY)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_learner_does_another_way_or_says_that_it_cannot(name):
    learner = planted.small(algos.load(name))
    tasks = planted.sampler("wider").sample(2, planted.WAY + 1, planted.SHOT, 2)
    if learner.any_way:
        assert planted.predictions(learner, tasks).shape == (2, 2 * (planted.WAY + 1), planted.WAY + 1)
    else:
        with pytest.raises(ValueError, match=f"cannot do {planted.WAY + 1}-way tasks"):
            planted.predictions(learner, tasks)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_inductive_predictions_do_not_see_other_queries(name):
    learner = planted.small(algos.load(name)).double()
    planted.trained(learner.float(), 2)
    learner.double()
    tasks = _double(planted.episodes())
    together = planted.predictions(learner, tasks)
    order = torch.randperm(tasks.query_y.shape[1], generator=torch.Generator().manual_seed(0))
    permuted = planted.predictions(learner, dataclasses.replace(tasks, query_x=tasks.query_x[:, order]))
    alone = planted.predictions(learner, dataclasses.replace(tasks, query_x=tasks.query_x[:, :1]))
    torch.testing.assert_close(permuted, together[:, order], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(alone, together[:, :1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in ALGORITHMS if "transductive" in algos.load(n).modes])
def test_transductive_predictions_do(name):
    learner = planted.small(algos.load(name))
    tasks = planted.episodes()
    together = planted.predictions(learner, tasks, transductive=True)
    alone = planted.predictions(
        learner, dataclasses.replace(tasks, query_x=tasks.query_x[:, :1]), transductive=True
    )
    assert (alone - together[:, :1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("transductive", [False, True])
def test_a_batch_of_tasks_equals_one_by_one(name, transductive):
    learner = planted.small(algos.load(name)).double()
    if transductive and "transductive" not in learner.modes:
        pytest.skip(f"{name} has no transductive mode")
    tasks = _double(planted.episodes(tasks=3))
    together = planted.predictions(learner, tasks, transductive)
    for t in range(3):
        one = dataclasses.replace(
            tasks,
            **{
                key: getattr(tasks, key)[t : t + 1]
                for key in ("support_x", "support_y", "query_x", "query_y")
            },
        )
        torch.testing.assert_close(
            planted.predictions(learner, one, transductive), together[t : t + 1], rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_planted_problem_is_solved(name, solved):
    learner, losses, logits = solved(name)
    if learner.trainable:
        assert sum(losses[-10:]) < 0.5 * sum(losses[:10]), "the loss does not fall"
    tasks = held_out()
    inductive = share(logits, tasks.query_y)
    transductive = learner.paper_mode == "transductive"
    assert (planted.accuracy(learner, tasks, transductive) if transductive else inductive) >= 0.97
    assert inductive >= 0.9


@pytest.mark.parametrize("name", ALGORITHMS)
def test_wrong_query_labels_score_chance(name, solved):
    """The random-label control: nothing but the images may tell the label of a query."""
    shuffled = torch.stack(
        [y[torch.randperm(len(y), generator=torch.Generator().manual_seed(7))] for y in held_out().query_y]
    )
    assert abs(share(solved(name)[2], shuffled) - 1 / planted.WAY) < 0.06


@pytest.mark.parametrize("name", ALGORITHMS)
def test_labels_may_be_permuted(name, solved):
    """Which class is called 0 must not matter: exactly so for learners that compare, within noise for others."""
    learner, _, logits = solved(name)
    tasks = held_out()
    names = torch.tensor([2, 0, 1])
    renamed = dataclasses.replace(tasks, support_y=names[tasks.support_y], query_y=names[tasks.query_y])
    others = planted.predictions(learner, renamed)
    if isinstance(learner, EmbeddingLearner) and learner.family in ("metric-based", "baseline"):
        torch.testing.assert_close(others[..., names], logits, rtol=1e-4, atol=1e-4)
    assert abs(share(others, renamed.query_y) - share(logits, tasks.query_y)) < 0.03


@pytest.mark.parametrize("name", TRAINED)
def test_training_is_deterministic(name):
    def weights(stream):
        learner = planted.small(algos.load(name))
        planted.trained(learner, 3, stream)
        return learner.state_dict()

    once, again, other = weights("a"), weights("a"), weights("b")
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert any(not torch.equal(once[key], other[key]) for key in once)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_hyper_parameter_has_an_effect(name):
    learner_class = algos.load(name)
    outcome = functools.cache(lambda values: _outcome(learner_class, dict(values)))
    own = [e for e in dataclasses.fields(learner_class.Params) if e.name not in planted.OF_THE_TRAINER]
    tiny = {"steps": 10, "meta_batch": 2, "hidden": 6}  # the effect shows at any size
    for entry in own:
        base = {key: value for key, value in tiny.items() if key in learner_class.Params.__dataclass_fields__}
        base |= {"halve_every": {"schedule": "halve", "halve_every": 2}, "clip_norm": {"clip_norm": 0.0}}.get(
            entry.name, {}
        )
        for value in _others(entry, planted.small(learner_class, **base).params):
            default, changed = (
                outcome(tuple(values.items())) for values in (base, base | {entry.name: value})
            )
            assert default != changed, f"{name}: {entry.name} = {value!r} changes nothing"


def _others(entry, params):
    """Values of a hyper-parameter that differ from the one in use."""
    used = getattr(params, entry.name)
    if entry.metadata["choices"]:
        left_out = (used, "mlp", OWN, "drops")  # tests/test_optimizer.py has drops
        return [choice for choice in entry.metadata["choices"] if choice not in left_out]
    if entry.name == "clip_norm":
        return [1e-3]
    if isinstance(used, bool):
        return [not used]
    if used is None:  # train_way, train_shot: as tested; depth: of an mlp, which other networks refuse
        return [{"train_way": planted.WAY + 1, "train_shot": planted.SHOT + 1, "depth": 3}[entry.name]]
    return [used * 2 or type(used)(0.1) or 1]


def _outcome(learner_class, overrides):
    """A number that depends on the training and on the prediction."""
    try:
        learner = planted.small(learner_class, **overrides)
        if learner.trainable:
            _two_updates(learner)
        return planted.predictions(learner, planted.episodes(tasks=2)).double().square().sum().item()
    except ValueError as error:  # a head for as many classes as tested may refuse another training way
        return str(error)


def _two_updates(learner):
    optimizer, tasks = torch.optim.Adam(learner.parameters(), lr=1e-3), planted.sampler("two updates")
    learner.train()
    for step in (1, 2):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(learner.params, step)
        learner.meta_update(tasks, optimizer)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_unknown_hyper_parameters_and_wrong_types_are_refused(name):
    learner_class = algos.load(name)
    with pytest.raises(ValueError, match=f"{name} has no hyper-parameter 'wdith'"):
        learner_class.resolve(name, planted.spec(), {"wdith": 3})
    for entry in dataclasses.fields(learner_class.Params):
        with pytest.raises(ValueError, match=f"hyper-parameter {entry.name} of {name} must be"):
            learner_class.resolve(name, planted.spec(), {entry.name: [1]})


@pytest.mark.parametrize("name", [n for n in ALGORITHMS if "regression" not in algos.load(n).tasks])
def test_regression_is_refused_by_those_that_only_classify(name):
    learner_class = algos.load(name)
    regression = TaskSpec("sinusoid", "regression", (1,), 1, 5)
    with pytest.raises(ValueError, match="does not do regression"):
        learner_class(regression, learner_class.Params())


def test_presets_apply_from_general_to_specific():
    protonet = algos.load("protonet")
    mini = dataclasses.replace(planted.spec(5, 1), dataset="miniimagenet")
    assert protonet.resolve("protonet", mini).train_way == 30
    assert protonet.resolve("protonet", dataclasses.replace(mini, shot=5)).train_way == 20
    assert protonet.resolve("protonet", mini, {"train_way": 7}).train_way == 7


def _double(tasks):
    return dataclasses.replace(tasks, support_x=tasks.support_x.double(), query_x=tasks.query_x.double())
