"""SIGTERM and Ctrl-C at Snakemake, told to the jobs, so that trainings stop at a checkpoint."""

import os
import signal
import threading
import time

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


def wake_main_thread(arrived):
    """Interrupt the main thread for each number in the pipe `arrived`. Handlers run in that thread alone, and it waits for
    jobs for hours, without being woken by a signal that the kernel gives to another thread or just before the wait begins.
    It is woken more than once, since that may happen to these calls, too."""
    while number := os.read(arrived, 1):
        if number[0] in USUAL:
            for _ in range(10):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGURG)
                time.sleep(0.1)


def pass_signals_on():
    """Called when Snakemake has set its own handlers and no job runs yet. A signal that is ignored (in the background of
    a script, Ctrl-C is) stays so."""
    arrived, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)  # Python writes each signal's number there, in whichever thread it arrives
    signal.signal(signal.SIGURG, lambda number, frame: None)
    threading.Thread(target=wake_main_thread, args=[arrived], daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        USUAL[number] = signal.getsignal(number)
        if USUAL[number] is not signal.SIG_IGN:
            signal.signal(number, tell_jobs)
