rule train:
    """Meta-train one run. A job that was killed goes on from its checkpoint, which is no declared output on purpose:
    Snakemake deletes the outputs of failed jobs.
    """
    input:
        data=prepared,
        pretraining=pretraining,
        code=lambda wildcards: job_code("train", wildcards.run),
    output:
        model=f"{RESULTS}/{{run}}/model.safetensors",
        history=f"{RESULTS}/{{run}}/history.parquet",
        record=f"{RESULTS}/{{run}}/run.json",
    log:
        f"{LOGS}/train/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{run}}.jsonl"
    conda:
        "../../environment.yml"
    threads: STUDY.config["train"]["threads"]
    resources:
        gpu=GPU,
    params:
        study=STUDY_FILE,
        spec=lambda wildcards: run_spec(STUDY, TRAININGS[wildcards.run]),
    shell:
        "python -m bench train {params.study} {wildcards.run} > {log} 2>&1"
