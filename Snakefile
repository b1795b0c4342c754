# The benchmark as a DAG: data -> train -> test -> summarize -> report. Each rule runs one verb of `python -m bench`.
# A study (config/) says what to run, a profile (profiles/) says where.
import os

from snakemake.utils import min_version

min_version("9.25")

# A study named with --configfile replaces the default one; two `configfile:` lines would merge their data sets.
if not workflow.overwrite_configfiles:

    configfile: os.path.join(workflow.basedir, "config", "quick.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/signals.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/test.smk"
include: "workflow/rules/summarize.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/stream.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        f"{REPORTS}/report.html",
        expand(f"{STREAMS}/{{labels}}/presentations.svg", labels=STREAM.labels if STREAM else []),


onstart:
    write_study()
    pass_signals_on()
    print(f"Study {STUDY.name} ({STUDY.origin}): {len(RUNS)} runs, device {STUDY.settings.train.device};")
    print(f"executor {workflow.executor_plugin.name}, profile {PROFILE}.", flush=True)


onsuccess:
    if os.path.exists(f"{REPORTS}/report.html"):  # not where only other targets were asked for
        # Snakemake's own report of this study; without a profile, whose keys are about running jobs.
        options = ["--snakefile", workflow.main_snakefile, "--configfile", STUDY_FILE]
        options += ["--workflow-profile", "none", "--nolock"]
        # No cache in the home folder, which may be one that cannot be written.
        options += ["--shared-fs-usage", "input-output", "persistence", "sources"]
        shell(
            "snakemake --report {REPORTS:q}/snakemake.html {options:q} > {LOGS:q}/snakemake_report.log 2>&1"
        )
        print(
            f"Report: {REPORTS}/report.html (how it was computed: snakemake.html beside it)", flush=True
        )


onerror:
    # A failed job must not cost the report of all others: write it, with the failed runs named.
    print(
        f"Not every job succeeded; logs are in {LOGS}/. To resume, give the same command again.",
        flush=True,
    )
    if not STOPPED:
        shell("python -m bench status {STUDY_FILE:q} || true")
        shell(
            "python -m bench summarize {STUDY_FILE:q} && python -m bench claims {STUDY_FILE:q} && python -m bench report {STUDY_FILE:q} || true"
        )
    # Snakemake must not take this for the report of the whole study: dated back to the year 2000, it is older than its inputs.
    # (Not to the epoch: Snakemake ignores a time of 0.)
    for partial in (*glob(f"{RESULTS}/tables/*"), *glob(f"{REPORTS}/report.html")):
        os.utime(partial, (946684800, 946684800))
