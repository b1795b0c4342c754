"""The study, its runs by name, paths, and the code that a job depends on, for all rules.

Every job of a workflow reads this file again in a process of its own, so nothing here imports torch.
"""

import gc
import inspect
import math
import os
import shlex
import sys
from functools import cache
from glob import escape as glob_escape, glob
from pathlib import Path

import yaml
from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

sys.path.insert(0, workflow.basedir)
# Jobs run on Snakemake's own Python, and find the project from any working folder.
_path = shlex.quote(str(Path(sys.executable).parent))
_project = shlex.quote(str(workflow.basedir))
_path, _project = (text.replace("{", "{{").replace("}", "}}") for text in (_path, _project))
shell.prefix(f"export PATH={_path}:$PATH PYTHONPATH={_project}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")

from bench.__main__ import explained
from bench.protocol.fingerprint import closure, code_files, content_digest
from bench.protocol.stale import stale_results
from bench.study.gpu import gpus
from bench.study.study import Study
from bench.study.text import parse_yaml, read_yaml
from bench.study.workflow_lock import hold_study
from bench.paths import results_root
from bench.results.estimate import read_timings, testing_cost, timings_file, training_cost
from bench.study.run import reports_root
from tasks.catalogue import FOLDER, data_root, folder_name, pictures_path, prepared_root
from tasks.prepared import is_prepared

# A plan of thousands of jobs makes millions of objects that stay. Python's search for garbage among them took a tenth of the time.
gc.set_threshold(200_000, 20, 50)


def input_function(function):
    """Keep a function's signature: Snakemake asks for it several times per job, and Python works it out anew each time."""
    function.__signature__ = inspect.signature(function)
    return function


def shipped(name):
    """Path of a file of the project, from the working folder."""
    return os.path.relpath(Path(workflow.basedir, name))


def typed(value):
    """Lists and mappings of the command line (`--config seeds=[0,1]`) by the rules of a file: to Snakemake, all in them is text."""
    if isinstance(value, dict):
        return {key: typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    return parse_yaml(value, "--config") if isinstance(value, str) else value


try:
    for file in workflow.configfiles:
        read_yaml(Path(file))  # Snakemake keeps the last of two equal keys without a word
    update_config(
        config,
        {
            key: typed(value)
            for key, value in workflow.config_settings.config.items()
            if not isinstance(value, str)
        },
    )
    STUDY = Study(config, ", ".join(map(os.path.relpath, workflow.configfiles)))
except (ValueError, FileNotFoundError) as error:
    raise WorkflowError(str(error))
for name, root in {
    "RESULTS_ROOT": results_root(),
    "REPORTS_ROOT": reports_root(),
    "DATA_ROOT": data_root(),
}.items():
    if "{" in str(root) or "}" in str(root):
        raise WorkflowError(
            f"{name}={root}: Snakemake reads a wildcard between braces; choose a folder without them"
        )
if workflow.is_main_process:
    hold_study(STUDY.name, results_root())
RUNS = {run.name: run for run in STUDY.runs()}
TRAININGS = {shared.name: shared for shared in STUDY.pretrainings()} | RUNS
TRAINED_ON = {run.dataset for run in RUNS.values() if run.kind == "classification"}
OTHER_DATA = STUDY.settings.experiments.other_data
STREAMED_ON = ["omniglot"] if STUDY.settings.stream else []
PREPARED = {folder_name(name): name for name in sorted({*TRAINED_ON, *OTHER_DATA, *STREAMED_ON})}
# Said before the first job. Loading a study does not ask: its results can be read where the pictures are not.
for name in PREPARED.values():
    if name.startswith(FOLDER) and not (pictures_path(name).exists() or is_prepared(name)):
        raise WorkflowError(
            f"{STUDY.origin}: {name}: there is no file or folder {pictures_path(name)}; correct the path"
        )

RESULTS = f"{results_root()}/{STUDY.name}"
REPORTS = f"{reports_root()}/{STUDY.name}"
LOGS = f"logs/{STUDY.name}"
STUDY_FILE = f"{RESULTS}/study.yaml"
META = f"{prepared_root()}/{{dataset}}/meta.json"
STREAM = STUDY.settings.stream
STREAMS = f"{results_root()}/stream"

SIGNAL_BEFORE_END = "--signal=TERM@60"

# A GPU is a resource only where there is one to share. A cluster's login node has none, so its profile sets this itself.
# The driver is asked, and only when the study leaves the device open.
_device = STUDY.settings.train.device
GPU = int(_device == "cuda" or (_device == "auto" and gpus() > 0))

# Snakemake ignores a profile that does not exist, and would run a cluster's study on the login node.
PROFILE = get_argument_parser().parse_known_args(sys.argv[1:])[0].workflow_profile or "default"
if PROFILE != "none" and not any(
    Path(folder, PROFILE).exists() for folder in (".", "profiles", workflow.basedir, shipped("profiles"))
):
    raise WorkflowError(
        f"there is no profile {PROFILE!r}; known: {', '.join(sorted(os.listdir(shipped('profiles'))))}"
    )


wildcard_constraints:
    labels=r"independent|balanced",
    learner=r"[^/]+",
    seed=r"\d+",
    dataset=r"[^/]+",
    run=r"[^/]+(/\d+way_\d+shot)?/[^/]+/seed\d+",  # a pretraining that runs share has no way and shot


def write_study():
    """Write the study with every default and every --config filled in, for the verbs to read.

    No job of the DAG does this: when an input is about to be written, `ancient` or not, Snakemake does not check what
    else has changed, and would repeat either all runs or none. Jobs get the settings that concern them as `params`.
    """
    text = yaml.safe_dump(STUDY.config, sort_keys=False, allow_unicode=True)
    try:
        os.makedirs(RESULTS, exist_ok=True)
        Path(STUDY_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorkflowError(explained(error))


@cache
def code(verb):
    """Files behind the jobs of a verb. Editing one of them repeats the job; editing any other file does not.

    Trainings and tests have thousands of jobs. Their code is no input of theirs: `repeat_outdated` compares its digest.
    """
    return [os.path.relpath(path) for path in code_files(verb)]


@cache
def repeat_outdated():
    """Let Snakemake make those results again that do not belong to the study, the code and the data as they are now.

    The records of a run hold digests of what it was made from. Results from another machine are recognised by them,
    whatever the times of their files. Called by an input function: then there is a plan to add to.
    """
    if workflow.is_main_process:
        summaries = f"{RESULTS}/tables/runs.csv", f"{REPORTS}/report.html"
        for reason, files in stale_results(STUDY, summaries):
            workflow.dag.forcefiles.update(files)


@input_function
def prepared(wildcards):
    """The data set of a run; generated regression tasks have none."""
    repeat_outdated()
    run = TRAININGS[wildcards.run]
    return [META.format(dataset=folder_name(run.dataset))] if run.kind == "classification" else []


@input_function
def tested(wildcards):
    """The data sets of a meta-test: the run's own, and the other data that it is tested on."""
    others = OTHER_DATA if prepared(wildcards) else []
    return sorted({*prepared(wildcards), *(META.format(dataset=folder_name(name)) for name in others)})


@input_function
def pretraining(wildcards):
    """Results of the pretraining that a run starts from: the same rule makes them."""
    shared = STUDY.pretraining(TRAININGS[wildcards.run])
    return expand(rules.train.output, run=shared.name) if shared else []


def own_pictures(wildcards):
    """State of your own pictures: a change repeats their preparation. Nothing for other data sets."""
    name = PREPARED[wildcards.dataset]
    if not name.startswith(FOLDER):
        return ""
    from tasks.preparation.folder_state import pictures_state

    return pictures_state(name)


def generator(wildcards):
    """Digest of the code that draws the embedded data set. Downloaded data do not change with the code."""
    if wildcards.dataset != "glyphs":
        return ""
    folder = Path(workflow.basedir, "tasks", "preparation")
    return content_digest(closure(folder / "glyphs.py"))


@cache
def timings():
    """Timings of the study's jobs, where `python -m bench estimate` has measured them."""
    file = timings_file(STUDY.name)
    return read_timings(file) if file.exists() else None


@cache
def estimated(cost, run):
    """What a training or a test takes; None where that has not been measured. cost: training_cost or testing_cost."""
    return cost(STUDY, TRAININGS[run], timings()) if timings() else None


def runtime(cost, otherwise):
    """Minutes to ask a cluster for: half as much again as estimated, more at every attempt. otherwise: if not estimated.

    A number where nothing has been estimated: Snakemake takes long to call a function for each of thousands of jobs.
    """
    if not timings():
        return otherwise

    def minutes(wildcards, attempt):
        found = estimated(cost, wildcards.run)
        return (5 + math.ceil(1.5 * found.seconds / 60)) * attempt if found else otherwise

    return minutes


def memory(cost):
    """MB to ask a cluster for: a third more than estimated, more at every attempt; a number if not estimated."""
    if not timings():
        return 4000

    def megabytes(wildcards, attempt):
        found = estimated(cost, wildcards.run)
        return (500 + math.ceil(1.3 * found.memory_mb)) * attempt if found else 4000

    return megabytes


def stream_options(wildcards):
    """Hyper-parameters of the memory: `mann-content=own` -> `--set content=own`."""
    settings = wildcards.learner.split("-")[1:]
    return shlex.join(["--set", *settings]) if settings else ""


def stream_updates(wildcards):
    """Updates of a training; more of them continue it. Nothing where the study has no streams."""
    return STREAM.updates if STREAM else 0


def stream_code(wildcards):
    """Files behind a training on streams."""
    name = wildcards.learner.split("-")[0]
    files = code_files("stream_training", None if name == "lstm" else name)
    return [os.path.relpath(path) for path in files]
