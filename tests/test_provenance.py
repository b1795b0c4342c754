"""What a record says of the code behind a result."""

import subprocess

import torch

from bench.protocol import provenance as module


def test_edited_code_is_said_and_results_kept_on_the_way_are_not(tmp_path, monkeypatch):
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    def dirty() -> bool:
        return module.provenance(torch.device("cpu"), module.now())["git_dirty"]

    kept, code = tmp_path / "results" / "reference" / "run.json", tmp_path / "algos" / "maml.py"
    for file in (kept, code):
        file.parent.mkdir(parents=True)
        file.write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert not dirty()
    kept.write_text("2\n")
    assert not dirty()
    code.write_text("2\n")
    assert dirty()
