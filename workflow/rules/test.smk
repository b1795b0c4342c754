rule test:
    """Meta-test one trained run under every condition of the study, on its frozen episodes."""
    input:
        data=tested,
        model=rules.train.output.model,
        record=rules.train.output.record,
        code=lambda wildcards: job_code("test", wildcards.run),
    output:
        episodes=f"{RESULTS}/{{run}}/episodes.parquet",
        calibration=f"{RESULTS}/{{run}}/calibration.parquet",
        record=f"{RESULTS}/{{run}}/test.json",
    log:
        f"{LOGS}/test/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/test/{{run}}.jsonl"
    conda:
        "../../environment.yml"
    threads: STUDY.settings.train.threads
    resources:
        gpu=GPU,
    params:
        study=STUDY_FILE,
        spec=lambda wildcards: STUDY.testing_job(RUNS[wildcards.run]).as_dict(),
    shell:
        "python -m bench test {params.study} {wildcards.run} > {log} 2>&1"
