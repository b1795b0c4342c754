rule prepare:
    """Fetch, verify and prepare a data set. The folder appears as a whole, so one file stands for it.

    `update`: Snakemake must not delete a prepared data set first; on an air-gapped machine it may be the only copy.
    """
    output:
        update(META),
    log:
        f"{LOGS}/prepare/{{dataset}}.log",
    retries: 2
    localrule: True
    conda:
        "../../environment.yml"
    params:
        name=lambda wildcards: PREPARED[wildcards.dataset],
        files=own_pictures,
        generator=generator,
    shell:
        "python -m bench prepare {params.name:q} --force > {log:q} 2>&1"
