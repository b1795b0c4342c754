"""Trainings on streams (Santoro et al. 2016), where the study asks for them with `stream`."""


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
        slurm_extra=SIGNAL_BEFORE_END,
    params:
        name=lambda wildcards: wildcards.learner.split("-")[0],
        options=stream_options,
        updates=stream_updates,
        device=STUDY.settings.train.device,
    shell:
        "exec python -m bench stream {params.name} --labels {wildcards.labels} --seed {wildcards.seed} --no-figure "
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
