rule report:
    """The offline HTML page of the study, with its figures and tables as files beside it."""
    input:
        tables=TABLES,
        claims=rules.claims.output,
        pictures=rules.pictures.output,
        data=expand(META, dataset=PREPARED),
        published=[shipped("data/published.csv"), shipped("data/finn_levine_2018.csv")],
        templates=glob(os.path.join(glob_escape(shipped("workflow/report")), "**", "*.*"), recursive=True),
        code=code("report"),
    output:
        report(
            f"{REPORTS}/report.html",
            category="Report",
            caption="../report/page.rst",
        ),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.jsonl"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=STUDY_FILE,
        config=STUDY.config,
    shell:
        "python -m bench report {params.study:q} > {log:q} 2>&1"
