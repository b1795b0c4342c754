rule test:
    """Meta-test one trained run under every condition of the study, on its frozen episodes."""
    input:
        data=tested,
        model=rules.train.output.model,
        record=rules.train.output.record,
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
        runtime=runtime(testing_cost, otherwise=60),
        mem_mb=memory(testing_cost),
    params:
        study=STUDY_FILE,
    shell:
        "python -m bench test {params.study:q} {wildcards.run:q} > {log:q} 2>&1"
