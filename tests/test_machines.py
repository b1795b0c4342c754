"""Machines as they are: full disks, read-only results, jobs that outlive their workflow."""

import ast
import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.__main__ import explained, main
from bench.paths import ROOT
from bench.results import room
from bench.results.run_lock import NAME, run_lock
from tests import planted
from tests.planted import RUN, bench


def test_a_full_disk_is_told_before_work(home, capsys, monkeypatch):
    study = planted.write_study(home)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage(1e6))
    assert bench("train", study, RUN.format("protonet")) == 2
    printed = capsys.readouterr().err
    assert "1 MB left" in printed and "free some room" in printed and len(printed.splitlines()) == 1
    assert not (home / "results").exists()


class Usage:
    def __init__(self, free: float):
        self.free = free


@pytest.mark.parametrize(
    "number, remedy",
    [(errno.ENOSPC, "free some room"), (errno.EROFS, "RESULTS_ROOT"), (errno.EPERM, "RESULTS_ROOT")],
)
def test_an_error_of_the_system_is_one_line_with_file_and_remedy(number, remedy):
    message = explained(OSError(number, os.strerror(number), "results/x"))
    assert message.startswith("results/x: ") and remedy in message


@pytest.mark.parametrize(
    "units, warned", [({"avx2": True}, True), ({"amx_bf16": True}, False), ({"bf16": True}, False)]
)
def test_bfloat16_without_hardware_for_it_is_slow_and_says_so(home, capsys, monkeypatch, units, warned):
    brief = {
        "steps": 1,
        "validate_every": 1,
        "validation_episodes": 8,
        "device": "cpu",
        "precision": "bfloat16",
    }
    study = planted.write_study(home, train=brief, overrides={"protonet": {"hidden": 4, "train_query": 3}})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64"} | units)
    assert bench("train", study, RUN.format("protonet")) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "bfloat16" in line]
    assert len(said) == warned
    assert not said or said[0].startswith(f"{study}: train.precision: ") and "`precision: float32`" in said[0]


def test_a_lock_is_waited_for_and_leaves_no_file(tmp_path, capsys):
    code = (
        "import sys; from pathlib import Path; from bench.results.run_lock import run_lock\n"
        "with run_lock(Path(sys.argv[1]), 'run'):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    done = subprocess.Popen(["sh", "-c", "sleep 1; kill -9 $0", str(other.pid)])
    with run_lock(tmp_path, "run") as waited:
        assert waited and (tmp_path / NAME).exists()
    assert done.wait() == 0 and other.wait() != 0
    assert list(tmp_path.iterdir()) == []
    with run_lock(tmp_path, "run") as waited:
        assert not waited
    assert "run: another process works on it" in capsys.readouterr().out


def test_a_terminal_without_utf8_gets_what_it_can_show(monkeypatch):
    from bench.verbs import schema

    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="latin-1"))
    monkeypatch.setattr(schema, "main", lambda args: print("93 % ± 2 → 統") or 0)
    assert main(["schema"]) == 0
    sys.stdout.flush()
    assert shown.getvalue() == "93 % ± 2 ? ?\n".encode("latin-1")


def test_every_text_file_names_its_encoding():
    """Otherwise the locale decides, and a file written on one machine is read as something else on another."""
    found = []
    for path in [path for name in ("bench", "algos", "tasks") for path in (ROOT / name).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and _opens_text(node):
                found += [] if _names_encoding(node) else [f"{path}:{node.lineno}"]
    assert not found


def _opens_text(call: ast.Call) -> bool:
    """Whether a call is `path.read_text`, `path.write_text`, `path.open()`, or `open` without `b` in its mode."""
    name, words = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
    if name.endswith((".read_text", ".write_text")):
        return True
    modes = [argument.value for argument in call.args[name == "open" :] if isinstance(argument, ast.Constant)]
    opens = name == "open" or (name.endswith(".open") and not call.args and not words)
    return opens and not any("b" in str(mode) for mode in modes)


def _names_encoding(call: ast.Call) -> bool:
    return any(keyword.arg == "encoding" for keyword in call.keywords)


@pytest.mark.parametrize("verb", [["schema", "--print"], ["list"]])  # printed as text, and as a table by rich
def test_a_reader_that_has_read_enough_is_no_error(verb: list[str]):
    """As with `python -m bench list | head -1`, here of a reader that is gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "bench", *verb]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_rows_are_uncut_where_another_program_reads_them():
    """`bench reference --list | grep pending` needs each run's name in one line."""
    command = [sys.executable, "-m", "bench", "reference", "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "miniimagenet/5way_1shot/cosine_on_linear/seed0 " in done.stdout


def test_ctrl_c_stays_ignored_where_it_is():
    """As for `make &` in a script: its handler of before is a number, not a function to call."""
    code = (ROOT / "workflow" / "rules" / "signals.smk").read_text(encoding="utf-8")
    rules, before = {}, [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        exec(code, rules)
        rules["pass_signals_on"]()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is rules["tell_jobs"]
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGURG, signal.SIG_DFL)
