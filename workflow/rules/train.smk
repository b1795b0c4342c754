rule train:
    """Meta-train one run. A job that was killed resumes from its checkpoint, which is not declared as an output:
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
    threads: STUDY.settings.train.threads
    resources:
        gpu=GPU,
    params:
        study=STUDY_FILE,
        spec=lambda wildcards: STUDY.training_job(TRAININGS[wildcards.run]).as_dict(),
    shell:
        "python -m bench train {params.study} {wildcards.run} > {log} 2>&1"
