TABLES = [
    f"{RESULTS}/tables/{name}"
    for name in (
        *("cells.csv", "comparisons.csv", "degradation.csv", "severities.csv", "losses.csv"),
        *("separation.csv", "ranks.csv", "runs.csv", "modes.csv"),
        *("calibration.csv", "calibration_scores.csv", "history.parquet"),
    )
]


rule summarize:
    """Means, intervals, paired comparisons and ranks over all runs of the study."""
    input:
        runs=[f"{RESULTS}/{run}/test.json" for run in RUNS],
        code=code("summarize"),
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
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=STUDY_FILE,
        config=STUDY.config,
    shell:
        "python -m bench summarize {params.study:q} > {log:q} 2>&1"


rule claims:
    """Verdicts on the declared claims. Changing a claim repeats this job and the report, nothing else."""
    input:
        runs=[f"{RESULTS}/{run}/test.json" for run in RUNS],
        claims=shipped("config/claims.yaml"),
        code=[*code("claims"), shipped("workflow/schemas/claims.schema.yaml")],
    output:
        report(
            f"{RESULTS}/tables/claims.csv",
            category="Tables",
            caption="../report/claims.rst",
        ),
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.jsonl"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=STUDY_FILE,
        config=STUDY.config,
    shell:
        "python -m bench claims {params.study:q} > {log:q} 2>&1"
