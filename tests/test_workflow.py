"""The DAG as a user meets it: dry runs on a clean copy, what an edit repeats, failures, kills."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
import yaml

from bench.protocol.stale import stale_results
from bench.study.study import load_study
from tests.workspace import NOTHING, ROOT, TINY, Workspace

CELL = "glyphs/5way_1shot"
LEARNERS = ("pixel_nn", "protonet")
SUMMED_UP = {"summarize", "claims", "report"}
EXAMPLE = re.search("```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
FAILS = "    def meta_update(self, sampler, optimizer):\n        raise RuntimeError('no luck today')\n"


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Workspace:
    """A clean copy, where nothing is ever run."""
    return Workspace(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workspace:
    """A copy in which the tiny study has been run to its end."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    workspace.snakemake("--configfile", workspace.study())
    return workspace


def runs(verbs=("train", "test"), cell=CELL, learners=LEARNERS, seed=0) -> set[str]:
    return {f"{verb} {cell}/{learner}/seed{seed}" for verb in verbs for learner in learners}


@pytest.mark.parametrize("study", sorted(path.name for path in ROOT.glob("config/*.yaml")))
def test_every_study_is_valid_and_lists_runs(study):
    document = yaml.safe_load((ROOT / "config" / study).read_text())
    if "study" in document:
        loaded = load_study(ROOT / "config" / study)
        assert loaded.name == Path(study).stem
        assert loaded.runs()


def test_dry_run_on_a_clean_copy_plans_the_default_study(clean):
    quick = load_study(clean.folder / "config" / "quick.yaml")
    expected = {f"{verb} {run.name}" for verb in ("train", "test") for run in quick.runs()}
    expected |= {f"train {shared.name}" for shared in quick.pretrainings()}
    assert clean.plan() - {"prepare glyphs"} == expected | {"pictures"} | SUMMED_UP


def test_a_study_on_the_command_line_replaces_the_default_one(clean):
    plan = clean.plan("--workflow-profile", "profiles/slurm", "--configfile", "config/omniglot.yaml")
    assert "prepare omniglot" in plan
    assert not [job for job in plan if "glyphs/" in job.replace("omniglot/", "")]


def test_lists_and_mappings_of_the_command_line_are_read_as_in_a_file(clean):
    options = (
        "seeds=[1]",
        "algorithms=[protonet]",
        "train={minutes: 0.5}",
        "overrides={protonet: {learning_rate: 0.5}}",
    )
    plan = clean.plan("--configfile", clean.study("listed.yaml"), "--config", *options)
    assert plan - {"prepare glyphs", "pictures"} - SUMMED_UP == runs(learners=["protonet"], seed=1)


def test_a_number_of_another_base_is_refused_on_the_command_line_too(clean):
    file = clean.study("listed.yaml")
    printed = clean.snakemake("-n", "--configfile", file, "--config", "seeds=[010]", succeeds=False)
    assert "--config" in printed and "YAML takes 010 for 8" in printed


def test_a_variant_is_a_run_of_its_own_on_its_algorithms_code(clean):
    variants = {"wide": {"algorithm": "protonet", "params": {"train_way": 8}}}
    plan = clean.plan("--configfile", clean.study("variants.yaml", variants=variants))
    assert runs(learners=(*LEARNERS, "wide")) <= plan


def test_an_unknown_key_is_named_with_the_known_ones(clean):
    file = clean.study("typo.yaml", train={"step": 4})
    printed = clean.snakemake("-n", "--configfile", file, succeeds=False)
    assert file in printed and "'step' was unexpected" in printed and "validate_every" in printed


def test_an_unknown_profile_is_an_error(clean):
    printed = clean.snakemake("-n", "--workflow-profile", "profiles/slrum", succeeds=False)
    assert "no profile 'profiles/slrum'; known: default, slurm" in printed


def test_lint_is_clean(clean):
    assert "Congratulations" in clean.snakemake("--lint")


def test_the_finished_study_left_a_report_and_snakemakes_own(finished):
    for name in ("report.html", "snakemake.html"):
        assert (finished.folder / "reports" / "tiny" / name).stat().st_size > 10_000
    assert list(finished.folder.glob(f"results/tiny/benchmarks/train/{CELL}/*/seed0.jsonl"))


def test_a_second_run_has_nothing_to_do(finished):
    assert NOTHING in finished.snakemake("--configfile", "tiny.yaml")


def test_tests_that_lack_a_file_are_repeated_and_trainings_are_not(finished):
    """Results of an older version: neither its tests nor its tables hold what is new, and the report is to be made."""
    tables = [f"results/tiny/tables/{name}.csv" for name in ("calibration", "calibration_scores")]
    tests = [f"results/tiny/{CELL}/{learner}/seed0/calibration.parquet" for learner in LEARNERS]
    files = [finished.folder / name for name in ("reports/tiny/report.html", *tables, *tests)]
    for file in files:
        file.rename(file.with_suffix(".kept"))
    try:
        plan = finished.plan("--configfile", "tiny.yaml")
    finally:
        for file in files:
            file.with_suffix(".kept").rename(file)
    assert plan == runs(verbs=["test"]) | SUMMED_UP


def test_touching_repeats_nothing_editing_repeats_the_edited_algorithm_only(finished):
    file = finished.folder / "algos" / "metric" / "protonet.py"
    original = file.read_text()
    file.touch()
    assert finished.plan("--configfile", "tiny.yaml") == set()
    file.write_text(original + "\n# edited\n")
    try:
        plan = finished.plan("--configfile", "tiny.yaml")
    finally:
        file.write_text(original)
    assert plan == runs(learners=["protonet"]) | SUMMED_UP


def test_editing_what_trains_nothing_repeats_no_training_and_no_test(finished):
    """Edit the report, the statistics, the study, the verbs, downloads and data cards."""
    folders = ("bench/report/**", "bench/statistics", "bench/study", "bench/verbs", "tasks/preparation")
    files = [file for folder in folders for file in sorted(finished.folder.glob(f"{folder}/*.py"))]
    files = [file for file in files if file.stem not in ("glyphs", "outlines")]  # they draw the data set
    assert {"report", "summarize", "status", "download", "card"} <= {file.stem for file in files}
    originals = {file: file.read_text() for file in files}
    for file, text in originals.items():
        file.write_text(text + "\n# edited\n")
    try:
        plan = finished.plan("--configfile", "tiny.yaml")
    finally:
        for file, text in originals.items():
            file.write_text(text)
    assert SUMMED_UP <= plan
    assert not [job for job in plan if job.startswith(("train", "test"))]


def test_changing_a_claim_repeats_the_verdicts_and_the_report_only(finished):
    file = finished.folder / "config" / "claims.yaml"
    original = file.read_text()
    file.write_text(original.replace("margin: 0.2", "margin: 0.25"))
    try:
        plan = finished.plan("--configfile", "tiny.yaml")
    finally:
        file.write_text(original)
    assert plan == {"claims", "report"}


ADDITIONS = {
    "seed": ({"seeds": [0, 1]}, runs(seed=1)),
    "shot": ({"datasets": {"glyphs": {"ways": [5], "shots": [1, 5]}}}, runs(cell="glyphs/5way_5shot")),
    "way": ({"datasets": {"glyphs": {"ways": [5, 10], "shots": [1]}}}, runs(cell="glyphs/10way_1shot")),
    "algorithm": ({"algorithms": [*LEARNERS, "fomaml"]}, runs(learners=["fomaml"])),
    "own algorithm": ({"algorithms": [*LEARNERS, "my/cosine.py"]}, runs(learners=["cosine"])),
    "data set": (
        {"datasets": TINY["datasets"] | {"omniglot": {"ways": [5], "shots": [1]}}},
        runs(cell="omniglot/5way_1shot") | {"prepare omniglot"},
    ),
    "shift": (
        {"shifts": TINY["shifts"] | {"severities": {"shear": [1], "blur": [2]}}},
        runs(verbs=["test"]),
    ),
    "severity": ({"shifts": TINY["shifts"] | {"severities": {"shear": [1, 2]}}}, runs(verbs=["test"])),
    "strength": ({"shifts": TINY["shifts"] | {"strengths": {"scale": [0.5]}}}, runs(verbs=["test"])),
    "experiment": ({"experiments": {"shots": [5], "episodes": 4}}, runs(verbs=["test"])),
}


@pytest.mark.parametrize("what", ADDITIONS)
def test_adding_one_thing_to_the_study_makes_just_that(finished, what, monkeypatch):
    """What Snakemake is told to make again; that it does so is the next test, for all at once."""
    changes, jobs = ADDITIONS[what]
    monkeypatch.chdir(finished.folder)
    own_algorithm(finished)
    study = load_study(Path(finished.study("changed.yaml", **changes)))
    again = {
        reason.split(":")[0]: files
        for reason, files in stale_results(study, ["results/tiny/tables/runs.csv"])
    }
    verbs = {
        name: ("test",) if files[0].endswith("test.json") else ("train", "test")
        for name, files in again.items()
    }
    assert {f"{verb} {name}" for name in verbs for verb in verbs[name]} == jobs - {"prepare omniglot"}


def test_adding_all_of_it_to_the_study_plans_all_of_it(finished):
    own_algorithm(finished)
    changes = dict(pair for change, _ in ADDITIONS.values() for pair in change.items())
    changes["algorithms"] = [*LEARNERS, "fomaml", "my/cosine.py"]
    changes["datasets"] = {
        "glyphs": {"ways": [5, 10], "shots": [1, 5]},
        "omniglot": {"ways": [5], "shots": [1]},
    }
    plan = finished.plan("--configfile", finished.study("changed.yaml", **changes))
    cells = {*(f"glyphs/{way}way_{shot}shot" for way in (5, 10) for shot in (1, 5)), "omniglot/5way_1shot"}
    everything = {
        job
        for cell in cells
        for seed in (0, 1)
        for job in runs(cell=cell, learners=(*LEARNERS, "fomaml", "cosine"), seed=seed)
    }
    assert plan == (everything - runs(verbs=["train"])) | {"prepare omniglot", "pictures"} | SUMMED_UP


def own_algorithm(workspace: Workspace) -> Path:
    """Write the example of the README as an algorithm of the user's own; return its file."""
    file = workspace.folder / "my" / "cosine.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(EXAMPLE)
    return file


def test_a_failed_run_costs_neither_the_others_nor_the_report(finished):
    file = own_algorithm(finished)
    file.write_text(EXAMPLE + FAILS)
    study = finished.study("failing.yaml", study="failing", algorithms=["my/cosine.py", "pixel_nn"])
    printed = finished.snakemake("--configfile", study, succeeds=False)
    assert "no luck today" in printed
    results = finished.folder / "results" / "failing" / CELL
    assert (results / "pixel_nn" / "seed0" / "episodes.parquet").exists()
    assert "missing" in (finished.folder / "results/failing/tables/runs.csv").read_text()
    assert "cosine" in (finished.folder / "reports/failing/report.html").read_text()
    # The same command again goes on, although there is a report.
    assert finished.plan("--configfile", study) == runs(learners=["cosine"]) | SUMMED_UP
    file.write_text(EXAMPLE)
    assert finished.plan("--configfile", study) == runs(learners=["cosine"]) | SUMMED_UP
    tables = "results/failing/tables/runs.csv"
    finished.snakemake(tables, "--configfile", study)
    assert "missing" not in (finished.folder / tables).read_text()


def test_a_killed_run_goes_on_and_gives_the_same_model(finished):
    study = finished.study("killed.yaml", study="killed", algorithms=["protonet"])
    model = f"{CELL}/protonet/seed0/model.safetensors"
    process = finished.start(f"results/killed/{model}", "--configfile", study)
    log = finished.folder / "logs" / "killed" / "train" / CELL / "protonet" / "seed0.log"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished.snakemake(f"results/killed/{model}", "--configfile", study)
    results = finished.folder / "results"
    assert (results / "killed" / model).read_bytes() == (results / "tiny" / model).read_bytes()
