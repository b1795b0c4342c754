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
        study=STUDY_FILE,
        episodes={
            name: [entry.split, entry.ways[0], entry.shots[0]]
            for name, entry in STUDY.settings.datasets.items()
        },
        shifts=[*STUDY.settings.shifts.severities, *STUDY.settings.shifts.strengths],
        query=STUDY.settings.test.query,
        seed=STUDY.settings.seed,
    shell:
        "python -m bench pictures {params.study:q} > {log:q} 2>&1"
