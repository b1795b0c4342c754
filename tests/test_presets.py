"""Trainings of the studies with published budgets are those of the papers and their released code ; what is not, is named."""

import re
from pathlib import Path

import pytest

import algos
from bench.statistics.claims import load_claims
from bench.study.study import load_study

RATES = "0.33333333 0.06, 0.66666666 0.012, 0.83333333 0.0024"
PUBLISHED = {
    "metaopt_svm miniimagenet 5 1": (
        "kjunelee/MetaOptNet train.py: SGD of momentum 0.9, rates of epochs 20, 40 and 50 of 60, weight decay, augmentation",
        dict(optimizer="nesterov", momentum=0.9, learning_rate=0.1, schedule="drops", drops=RATES, weight_decay=5e-4,
             augment="padded", backbone="resnet12", train_shot=15, train_query=6, meta_batch=8, steps=60_000),
    ),
    "metaopt_ridge miniimagenet 5 5": (
        "the same, and ridge strength 50",
        dict(optimizer="nesterov", momentum=0.9, weight_decay=5e-4, augment="padded", strength=50.0),
    ),
    "metanet miniimagenet 5 1": (
        "no length is stated; 10 for a sum over 75 queries is 0.13 for their mean",
        dict(steps=60_000, meta_batch=1, train_way=None, train_query=15, hidden=32, clip_norm=0.13),
    ),
    "maml omniglot 20 1": (
        "cbfinn/maml main.py and utils.py: the inner loss is the sum over the classes",
        dict(inner_reduction="sum", inner_rate=0.1, inner_steps=5, test_steps=5, meta_batch=16, steps=60_000),
    ),
    "maml omniglot 5 1": (
        "cbfinn/maml README",
        dict(inner_reduction="sum", inner_rate=0.4, inner_steps=1, test_steps=3, meta_batch=32, train_query=1),
    ),
    "maml miniimagenet 5 5": (
        "cbfinn/maml README",
        dict(inner_reduction="sum", inner_rate=0.01, inner_steps=5, test_steps=10, meta_batch=2, hidden=32),
    ),
    "fomaml omniglot 20 1": (
        "section 5.2 of MAML: MAML's own",
        dict(inner_reduction="sum", inner_rate=0.1, inner_steps=5, meta_batch=16, steps=60_000),
    ),
    "anil omniglot 20 1": ("appendix, in MAML's units", dict(inner_reduction="sum", inner_rate=0.1, inner_steps=5)),
    "anil miniimagenet 5 1": (
        "appendix, in MAML's units",
        dict(inner_reduction="sum", inner_rate=0.01, inner_steps=5, test_steps=10, steps=30_000),
    ),
    "sca omniglot 20 5": (
        "the base is MAML++, as released",
        dict(backbone="conv4", meta_batch=8, steps=50_000, first_order_share=0.0, train_query=1),
    ),
    "sca miniimagenet 5 1": ("paper, appendix", dict(meta_batch=2, steps=75_000, weight_decay=1e-4)),
    "mamlpp omniglot 5 1": (
        "HowToTrainYourMAMLPytorch configs: first_order_to_second_order_epoch is -1, which is off",
        dict(first_order_share=0.0, multi_step_share=0.1, inner_rate=0.1, inner_steps=5, meta_batch=8, steps=50_000),
    ),
    "mamlpp miniimagenet 5 1": ("the same, 15 of 100 epochs", dict(first_order_share=0.0, multi_step_share=0.15, hidden=48)),
    "mann_delayed omniglot 5 1": ("section 3.1: labels come one step late", dict(label_timing="delayed")),
    "ntm_delayed omniglot 5 1": ("section 3.1 of MANN: labels come one step late", dict(label_timing="delayed")),
}  # fmt: skip
"""Source and hyper-parameters by learner, data set, way and shot."""


@pytest.fixture(scope="module")
def study():
    return load_study("config/paper.yaml")


@pytest.mark.parametrize("name", PUBLISHED)
def test_paper_yaml_trains_as_published(study, name):
    algorithm, dataset, way, shot = name.split()
    run = study.run(f"{dataset}/{way}way_{shot}shot/{algorithm}/seed0")
    found = study.cards[algorithm].resolved(run.words, study.hyper_parameters(run))
    source, expected = PUBLISHED[name]
    assert {key: found[key] for key in expected} == expected, source


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "anil"])
def test_omniglot_yaml_has_the_published_inner_loss(algorithm):
    study = load_study("config/omniglot.yaml")
    for run in study.runs():
        if run.algorithm == algorithm:
            assert study.hyper_parameters(run)["inner_reduction"] == "sum", run.name


def test_each_baseline_starts_from_the_stage_that_the_paper_trains_it_on(study):
    """wyharveychen/CloserLookFewShot train.py: Baseline++ trains its features with the cosine classifier."""
    stages = {name: study.cards[name].pretraining for name in ("finetune", "cosine_finetune")}
    assert stages == {"finetune": "supervised", "cosine_finetune": "supervised_cosine"}
    stage = study.cards["supervised_cosine"].resolved({"miniimagenet"}, {})
    assert (stage["steps"], stage["batch_size"], stage["augment"]) == (960_000, 16, True)


def test_the_stream_of_manns_paper_is_run_at_its_length(study):
    stream = study.settings.stream
    assert stream.updates == 100_000 and {"lstm", "mann"} <= set(stream.learners)


def test_make_paper_runs_what_every_claim_compares():
    """Learners of both sides are in one of its studies, with the split and the experiment that the claim names."""
    listed = re.search(r"^EVERYTHING := (.*)$", Path("Makefile").read_text(), re.M)[1].split()
    studies = [load_study(f"config/{name}.yaml") for name in listed]
    experiments = {
        "alphabet": "within_alphabet",
        "prototypes": "prototypes",
        "training_permuted": "memorisation",
    }
    for claim in load_claims(Path("config/claims.yaml")):
        sides = [claim["left"], claim["right"]]
        learners = {name for side in sides for name in side.get("algorithms", [])}
        needed = {
            experiments[task]
            for side in sides
            if (task := side.get("at", {}).get("test_tasks")) in experiments
        }
        holding = [
            study
            for study in studies
            if learners <= {*study.settings.algorithms, *study.settings.variants}
            and all(getattr(study.settings.experiments, name) for name in needed)
            and {*claim.get("splits", [])} <= {entry.split for entry in study.settings.datasets.values()}
        ]
        assert holding, claim["id"]


def test_the_memories_say_that_they_see_the_label_with_its_own_image():
    for name in ("mann", "ntm"):
        assert algos.card(name).title.endswith("labels with the image")
        assert algos.card(name).resolved({"omniglot"}, {})["label_timing"] == "current"


@pytest.mark.parametrize(
    ("algorithm", "named"),
    [
        ("maml", "75 in most studies; the code has as many per class as shots"),
        ("metanet", "not 10-way with a 5-way classifier that was never trained"),
        (
            "fomaml",
            "those beside ours are from Nichol et al., with an inner Adam, one query per class at test",
        ),
        ("anil", "by this inference"),
        ("mamlpp", "which turn derivative-order annealing off"),
        ("protonet", "the presets' 20,000 episodes are ours"),
        ("matching", "The paper does not state its training length; ours is declared"),
    ],
)
def test_where_a_training_or_test_is_not_as_published_the_learner_says_so(algorithm, named):
    assert named in re.sub(r"\s+", " ", algos.card(algorithm).doc)
