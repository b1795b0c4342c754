"""The cases of tests/cases end as their heads say: inputs of the kinds that people reported.

Case 26 edits the project's own files while a job runs, so tests/test_workflow_truth.py tries it in a copy.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace import ROOT

CASES = ROOT / "tests" / "cases"
TASKS = r"datasets\.glyphs\.shots: {0} shots \+ 1 query per class are more than the 20 images of the smallest class"
WORKS = "works, read from "
NOTHING_SAID = r"\A\Z"
ENDS = {
    "01-duplicate-yaml-keys": [r"error: .*the key 'glyphs' occurs twice, in lines 3 and 4", "WorkflowError"],
    "02-shot-too-large": [TASKS.format(20), TASKS.format(21), r"experiments\.shots: 20 shots \+ 1 query per class"],
    "03-query-clamped": [
        r"fewer than the 400 queries per class of `test\.query`.*19 in 5way_1shot",
        "rc 0",
        r'"queries": \{',
    ],
    "05-yaml-1e-3": [r"learning_rate of protonet must be a number, not '1e-3'.*write 1\.0e-3"],
    "07-nonsense-numbers": [
        "hidden of protonet must be more than 0, not 0",
        "steps of protonet must be more than 0, not -3",
        "meta_batch of protonet must be more than 0, not 0",
        "learning_rate of protonet must be more than 0, not -1",
    ],
    "09-miniimagenet-validation-name": [r"pkl_validation_name\(learn2learn\): " + WORKS],
    "11-os-litter": [f"{name}: {WORKS}" for name in ("ds_store", "thumbs_db", "appledouble", "subfolder", "macosx_zip")],
    "12-miniimagenet-layouts": [
        f"{name}: {WORKS}" for name in ("class_folders_at_root", "images_with_class_folders", "validation_named", "ext_JPEG")
    ],
    "19-own-helper-not-tracked": ["This was a dry-run"],  # something is to be done
    "22-space-in-algorithm-name": [NOTHING_SAID],
    "23-torchvision-import": [NOTHING_SAID],
    "21-same-stem": [r"two learners are called 'same': .*a/same\.py and .*b/same\.py"],
    "34-own-image-folder": [
        r"rule prepare:\nrule train:\nrule test:\nrule report:",
        r"folder_birds_\w+/2way_1shot/protonet/seed0: step 4/4",
        r"train_query: 5 training shots \+ 5 train_query per class are more than the 8 images of the smallest class",
    ],
    "35-trained-learner-in-python": [r"\(3, 5\) True"],
    "15-mirror-ignored": [r"DATA_MIRROR=/no/such/folder.* does not exist"],
}  # fmt: skip
"""What the output of each case must hold, as regular expressions."""


@pytest.mark.parametrize("name", ENDS)
def test_a_case_ends_as_its_head_says(name, tmp_path):
    said = run(CASES / name, tmp_path)
    for wanted in ENDS[name]:
        assert re.search(wanted, said), said
    assert "Traceback" not in said and "TRACEBACK" not in said, said


def test_every_case_is_tried_and_says_what_is_right():
    assert {case.name for case in CASES.glob("[0-9]*")} == set(ENDS)
    for case in sorted(CASES.glob("[0-9]*")):
        assert "# Right: " in (case / "run.sh").read_text(), case.name


def run(case: Path, scratch: Path) -> str:
    """Run a case in the project's root with the Python of the tests; return all that it printed."""
    environment = os.environ | {
        "VIRTUAL_ENV": str(Path(sys.prefix)),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TMPDIR": str(scratch),
    }
    command = ["bash", str(case / "run.sh")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    return done.stdout + done.stderr
