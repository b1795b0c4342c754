# The benchmark as a DAG: data -> train -> test -> summarize -> report, each rule one verb of `python -m bench`.
# A study (config/) says what to run, a profile (profiles/) says where.
from snakemake.utils import min_version

min_version("9.25")

# A study named with --configfile replaces the default one. Two `configfile:`s would be merged: data sets would add up.
if not workflow.overwrite_configfiles:

    configfile: "config/quick.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/test.smk"
include: "workflow/rules/summarize.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        f"{REPORTS}/report.html",


onstart:
    write_study()
    print(
        f"Study {STUDY.name} ({STUDY.origin}): {len(RUNS)} runs, device {STUDY.config['train']['device']};"
    )
    print(f"executor {workflow.executor_plugin.name}, profile {PROFILE}.", flush=True)


onsuccess:
    if os.path.exists(f"{REPORTS}/report.html"):  # not where only other targets were asked for
        # Snakemake's own report of this study; without a profile, whose keys are about running jobs.
        options = ["--configfile", STUDY_FILE, "--workflow-profile", "none", "--nolock"]
        shell(
            "snakemake --report {REPORTS}/snakemake.html {options:q} > {LOGS}/snakemake_report.log 2>&1"
        )
        print(
            f"Report: {REPORTS}/report.html (how it was computed: snakemake.html beside it)", flush=True
        )


onerror:
    # One failed job must not cost the report of all others: write it with the failed cells named.
    print(
        f"Not every job succeeded; logs are in {LOGS}/. To go on, give the same command again.",
        flush=True,
    )
    shell("python -m bench status {STUDY_FILE} || true")
    shell(
        "python -m bench summarize {STUDY_FILE} && python -m bench claims {STUDY_FILE} && python -m bench report {STUDY_FILE} || true"
    )
    # Snakemake must not take it for the report of the whole study: dated back to 2000, it is older than what goes into that.
    # (Not to the epoch: a time of 0 is ignored.)
    for partial in (*glob(f"{RESULTS}/tables/*"), *glob(f"{REPORTS}/report.html")):
        os.utime(partial, (946684800, 946684800))
