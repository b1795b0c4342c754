"""Trainings on streams (Santoro et al. 2016), where the study asks for them with `stream`."""

STREAM = STUDY.settings.stream
STREAMS = f"{results_root()}/stream"


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


rule stream:
    """Train and test a learner on streams. Its checkpoint stays, so that more updates continue the training."""
    input:
        data=META.format(dataset="omniglot"),
        code=stream_code,
    output:
        table=f"{STREAMS}/{{labels}}/{{learner}}/seed{{seed}}/presentations.csv",
        record=f"{STREAMS}/{{labels}}/{{learner}}/seed{{seed}}/run.json",
    log:
        f"{LOGS}/stream/{{labels}}/{{learner}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/stream/{{labels}}/{{learner}}/seed{{seed}}.jsonl"
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        name=lambda wildcards: wildcards.learner.split("-")[0],
        options=stream_options,
        updates=stream_updates,
        device=STUDY.settings.train.device,
    shell:
        "python -m bench stream {params.name} --labels {wildcards.labels} --seed {wildcards.seed} --no-figure "
        "--updates {params.updates} --device {params.device} {params.options} > {log:q} 2>&1"


rule stream_figure:
    """Accuracy by presentation of all finished learners, beside the published values."""
    input:
        runs=lambda wildcards: expand(
            f"{STREAMS}/{wildcards.labels}/{{learner}}/seed{{seed}}/presentations.csv",
            learner=[learner.replace(" ", "-") for learner in STREAM.learners],
            seed=STREAM.seeds,
        ),
        code=code("stream_figure"),
    output:
        f"{STREAMS}/{{labels}}/presentations.svg",
    log:
        f"{LOGS}/stream/{{labels}}.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python -m bench stream draw --labels {wildcards.labels} > {log:q} 2>&1"
