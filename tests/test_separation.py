"""What makes a learner robust: each remedy's part is recomputed from the episodes, in the table and in the sentences."""

import re

import numpy as np
import pandas as pd
import pytest

from bench.report.sections import result, separation
from bench.report.summary import read_summary
from bench.results.run_folder import read_run
from bench.statistics import intervals
from bench.statistics.claims import write_claims
from bench.statistics.seed_variance import seed_prior
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study

MEMBERS = ("protonet", "maml", "reptile", "snail", "lstm")
HIGHEST = {"smear": 5, "shear": 3}
EPISODES = 40
MODE = {"maml": "transductive", "reptile": "transductive"}
CHANGES = {
    "algorithms": ("pixel_nn", *MEMBERS),
    "datasets": {"glyphs": {"ways": [5], "shots": [1]}},
    "shifts": {"smear": (1, 5), "shear": (3,)},
    "episodes": 60,
    "shift_episodes": EPISODES,
    "experiments": {"steps": [1], "steps_under_shift": [0, 1, 50]},
}


def summary_of(root, **changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        study = load_study(make_study(root, **CHANGES | changes))
        summarize(study)
        write_claims(study)
        return read_summary(study)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("separation")


@pytest.fixture(scope="module")
def summary(root):
    return summary_of(root)


def values(root, name, mode, shift="none", scope="clean", steps=-1) -> np.ndarray:
    """Accuracies [seeds, episodes] straight from the files; a shift is at its highest severity."""
    seeds, severity = [], HIGHEST.get(shift, 0)
    for seed in (0, 1):
        frame = read_run(root / f"results/synthetic/glyphs/5way_1shot/{name}/seed{seed}").episodes()
        place = {"mode": mode, "shift": shift, "scope": scope, "severity": severity, "test_steps": steps}
        part = frame[(frame[list(place)] == list(place.values())).all(axis=1)]
        seeds.append(part["accuracy"].to_numpy(float)[:EPISODES])
    return np.stack(seeds)


def over_shifts(root, name, mode, scope, steps=-1) -> np.ndarray:
    return np.mean([values(root, name, mode, shift, scope, steps) for shift in HIGHEST], axis=0)


def statistics(root, name) -> np.ndarray:
    gains = [
        over_shifts(root, name, mode, "task") - values(root, name, mode)
        for mode in ("transductive", "inductive")
    ]
    return gains[0] - gains[1]


def more_steps(root, name) -> np.ndarray:
    mode = MODE.get(name, "inductive")
    lost = [
        over_shifts(root, name, mode, "task", steps) - values(root, name, mode, steps=steps)
        for steps in (50, -1)
    ]
    return lost[0] - lost[1]


def support(root, name) -> np.ndarray:
    mode = MODE.get(name, "inductive")
    return over_shifts(root, name, mode, "task") - over_shifts(root, name, mode, "query")


PARTS = {
    "statistics": (statistics, ("protonet", "maml", "reptile", "snail"), -1),
    "adaptation": (more_steps, ("maml", "reptile"), 50),
    "support": (support, MEMBERS, -1),
}


@pytest.mark.parametrize("part", PARTS)
def test_what_a_remedy_mends_is_recomputed_from_the_episodes(root, summary, part):
    mended, names, steps = PARTS[part]
    rows = summary.separation.query(
        "part == @part and steps == @steps and shift == 'all' and scope == 'task'"
    ).set_index("algorithm")
    tables = {name: mended(root, name) for name in names}
    assert set(names) < set(rows.index), "pixels and learners of one mode have no row of statistics"
    every = {name: mended(root, name) for name in rows.index if name in CHANGES["algorithms"]}
    prior = seed_prior(list(every.values()))
    for name, members in (
        {name: [table] for name, table in tables.items()} | {"all": list(tables.values())}
    ).items():
        interval = intervals.contrast(members, [], prior=prior)
        found = tuple(rows.loc[name, ["mended", "mended_low", "mended_high"]])
        assert found == pytest.approx((np.mean(members), interval.low, interval.high), abs=2e-6)
        assert tuple(rows.loc[name, ["n_seeds", "n_episodes"]]) == (2, EPISODES)
    assert rows.loc["all", "n_algorithms"] == len(names), "a yardstick is no member"


@pytest.mark.parametrize("part", PARTS)
def test_each_sentence_says_what_the_episodes_say(root, summary, part):
    mended, names, _ = PARTS[part]
    ((_, sentences),) = separation.facts(summary)["separation"]
    text = dict(sentences)[separation.NAMES[part]]
    tables = [mended(root, name) for name in names]
    others = [mended(root, "pixel_nn")] if part == "support" else []
    mean, interval = (
        100 * np.mean(tables),
        intervals.contrast(tables, [], prior=seed_prior([*tables, *others])),
    )
    sign, word = (1, "less") if mean >= 0 else (-1, "more")
    low, high = sorted(100 * sign * end for end in (float(interval.low), float(interval.high)))
    said = re.search(rf"([\d.]+) points {word} \(95 % interval ([−\d.]+) to ([−\d.]+)\)", text)
    numbers = [float(number.replace("−", "-")) for number in said.groups()]
    assert numbers == pytest.approx([sign * mean, low, high], abs=0.051)
    assert ("which is undecided" in text) == (low <= 0 <= high)
    assert f"2 seeds and {EPISODES} episodes each" in text and str(len(names)) in text


def test_the_gain_of_adaptation_is_that_over_no_steps(root, summary):
    ((_, sentences),) = separation.facts(summary)["separation"]
    gains = [
        np.mean([measured(name, -1) - measured(name, 0) for name in ("maml", "reptile")])
        for measured in (
            lambda name, steps: over_shifts(root, name, "transductive", "task", steps),
            lambda name, steps: values(root, name, "transductive", steps=steps),
        )
    ]
    said = "gradient steps gains {:.1f} points under shift and {:.1f} on clean tasks".format(
        *(100 * g for g in gains)
    )
    assert said in dict(sentences)["Adaptation"]


def test_what_was_not_tested_is_said_to_be_untested(tmp_path):
    summary = summary_of(tmp_path, scopes=["task"], algorithms=("pixel_nn", "lstm"), experiments={})
    assert summary.separation.empty
    assert separation.figures(summary) == [] and separation.facts(summary) == {"separation": []}
    few = summary_of(tmp_path / "both", scopes=["task"], algorithms=("protonet", "snail"), experiments={})
    ((_, sentences),) = separation.facts(few)["separation"]
    said = {name: "untested" in text for name, text in sentences}
    assert said == {"Statistics": False, "Adaptation": True, "Support": True}


def test_losses_of_families_are_within_one_mode(root, summary):
    table = summary.losses.query("kind == 'family' and scope == 'task'")
    row = table.query("algorithm == 'optimization-based' and mode == 'inductive'").iloc[0]
    lost = {
        name: over_shifts(root, name, "inductive", "task") - values(root, name, "inductive")
        for name in CHANGES["algorithms"]
    }
    mine = [lost[name] for name in ("maml", "reptile")]
    interval = intervals.contrast(mine, [], prior=seed_prior(list(lost.values())))
    assert tuple(row[["change", "change_low", "change_high"]]) == pytest.approx(
        (np.mean(mine), interval.low, interval.high), abs=2e-6
    )
    reported = table.query("algorithm == 'optimization-based' and mode == 'reported'").iloc[0]
    assert row["change"] != reported["change"], "MAML's paper has the other mode"
    assert table.query("mode == 'transductive' and family == 'model-based'")["n_algorithms"].item() == 1


def test_the_front_names_families_in_one_mode_and_the_last_of_the_same_learners(summary):
    texts = [text for _, text in result.facts(summary)["findings"]]
    learners = summary.losses.query("kind == 'learner' and mode == 'reported' and scope == 'task'")
    competing = learners[learners["algorithm"].ne("pixel_nn")].sort_values("mean")
    assert f"the last is {competing.iloc[0]['title']}, {100 * competing.iloc[0]['mean']:.1f} %" in texts[1]
    assert f"the best is {competing.iloc[-1]['title']}, {100 * competing.iloc[-1]['mean']:.1f} %" in texts[1]
    assert "all in inductive mode" in texts[2]
    families = summary.losses.query("kind == 'family' and mode == 'inductive' and scope == 'task'")
    order = families.sort_values("change", ascending=False)
    said = re.findall(r"(\w+-based) learners?(?:, .*?,)? ([\d.]+) \(([−\d.]+) to ([−\d.]+)\)", texts[2])
    assert [name for name, *_ in said] == order["algorithm"].tolist()
    assert [float(lost) for _, lost, *_ in said] == pytest.approx(
        (-100 * order["change"]).tolist(), abs=0.051
    )


def test_a_family_of_one_learner_is_called_by_its_name(summary):
    learners = summary.losses.query("kind == 'learner' and mode == 'inductive' and scope == 'task'")
    text = next(text for _, text in result.facts(summary)["findings"] if "mean by family" in text)
    counts = learners["family"].value_counts()
    for row in learners[
        learners["family"].map(counts).eq(1) & ~learners["algorithm"].eq("pixel_nn")
    ].itertuples():
        assert f"the one {row.family} learner, {row.title}, " in text
    for family in counts[counts.gt(1)].index:
        assert f"{family} learners " in text
    assert "the one " in text


def test_one_seed_separates_no_learner(tmp_path):
    summary = summary_of(tmp_path, seeds=(0,), algorithms=("protonet", "maml", "snail"), experiments={})
    assert summary.losses[["p_best", "p_least"]].isna().all().all() or set(summary.losses["n_seeds"]) == {1}
    texts = [text for _, text in result.facts(summary)["findings"]]
    assert "cannot be told" in texts[1]
    assert pd.notna(summary.losses["mean"]).all()
