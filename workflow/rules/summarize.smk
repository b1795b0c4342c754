TABLES = [
    f"{RESULTS}/tables/{name}"
    for name in ("cells.csv", "comparisons.csv", "ranks.csv", "runs.csv", "history.parquet")
]


rule summarize:
    """Means, intervals, paired comparisons and ranks over all runs of the study."""
    input:
        study=STUDY_FILE,
        runs=expand([*rules.train.output, *rules.test.output], run=RUNS),
        code=sources("bench/summarize.py"),
    output:
        report(
            TABLES,
            category="Tables",
            caption="../report/tables.rst",
        ),
    log:
        f"{LOGS}/summarize.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarize.jsonl"
    conda:
        "../../environment.yml"
    shell:
        "python -m bench summarize {input.study} > {log} 2>&1"
