"""SIGTERM and Ctrl-C at Snakemake, told to the jobs, so that trainings stop at a checkpoint."""

import signal

import psutil

STOPPED = []


def tell_jobs(number, frame):
    """Pass SIGTERM to the running verbs, then do what Snakemake does. Their shells are left alone: they would die at once,
    and Snakemake would take the jobs for ended."""
    STOPPED.append(number)
    for process in psutil.Process().children(recursive=True):
        try:
            command = process.cmdline()
            if command[1:3] == ["-m", "bench"]:
                process.terminate()
        except psutil.Error:  # it has just ended
            pass
    USUAL[number](number, frame)


USUAL = {}


def pass_signals_on():
    """Called when Snakemake has set its own handlers and no job runs yet. A signal that is ignored (in the background of
    a script, Ctrl-C is) stays so."""
    for number in (signal.SIGTERM, signal.SIGINT):
        USUAL[number] = signal.getsignal(number)
        if USUAL[number] is not signal.SIG_IGN:
            signal.signal(number, tell_jobs)
