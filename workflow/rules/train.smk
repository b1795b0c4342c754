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
        # SLURM: a minute before the time limit, the training saves a checkpoint and ends. The next attempt resumes from it.
        slurm_extra=SIGNAL_BEFORE_END,
    params:
        study=STUDY_FILE,
    shell:
        # `exec`: SLURM signals every process of a job, and a shell would die of it, and the training with it.
        "exec python -m bench train {params.study:q} {wildcards.run:q} > {log:q} 2>&1"
