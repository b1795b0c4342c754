rule train:
    """Meta-train one run. A job that was killed resumes from its checkpoint, which is not declared as an output:
    Snakemake deletes the outputs of failed jobs.
    """
    input:
        data=prepared,
        pretraining=pretraining,
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
        runtime=runtime(training_cost, otherwise=12 * 60),
        mem_mb=memory(training_cost),
    params:
        study=STUDY_FILE,
    shell:
        "python -m bench train {params.study:q} {wildcards.run:q} > {log:q} 2>&1"
