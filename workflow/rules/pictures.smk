rule pictures:
    """A test episode and every shift of each data set, drawn for the report (PNG, SVG and PDF beside the list)."""
    input:
        data=expand(META, dataset=[folder_name(name) for name in sorted(TRAINED_ON)]),
        code=code("pictures"),
    output:
        f"{RESULTS}/pictures/pictures.json",
    log:
        f"{LOGS}/pictures.log",
    benchmark:
        f"{RESULTS}/benchmarks/pictures.jsonl"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        **{key: STUDY.config[key] for key in ("datasets", "shifts", "seed")},
        study=STUDY_FILE,
        query=STUDY.settings.test.query,
    shell:
        "python -m bench pictures {params.study} > {log} 2>&1"
