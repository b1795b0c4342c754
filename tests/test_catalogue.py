"""What a study can ask for is known without torch, and equals what the code behind it does."""

import inspect
import subprocess
import sys

import numpy as np

from tasks import catalogue, shift_ops
from tasks.dataset import load
from tasks.generated import FUNCTIONS
from tasks.shift_table import IMAGERY, SEVERITIES, SHIFTS


def test_the_catalogue_names_every_generated_data_set_and_its_ranges():
    assert {name: tuple(cls.OUT_OF_RANGE) for name, cls in FUNCTIONS.items()} == catalogue.OUT_OF_RANGE
    assert tuple(FUNCTIONS) == catalogue.REGRESSION


def test_every_shift_is_an_operation_and_every_operation_a_shift():
    operations = {
        name
        for name, function in inspect.getmembers(shift_ops, inspect.isfunction)
        if function.__module__ == shift_ops.__name__ and not name.startswith("_")
    }
    assert operations == set(SHIFTS)
    for name in operations:
        assert list(inspect.signature(getattr(shift_ops, name)).parameters)[2:] == ["imagery", "draws"]


def test_every_row_of_the_shift_table_is_consistent():
    for name, shift in SHIFTS.items():
        assert name == shift.name and set(shift.levels) <= set(IMAGERY)
        for levels in shift.levels.values():
            assert len(levels) == len(SEVERITIES) - 1
            for value in (*levels, shift.identity):
                shift.check(value)


def test_the_catalogue_and_the_shift_table_need_no_torch():
    code = "import sys, tasks.catalogue, tasks.shift_table; print({'torch', 'kornia', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_data_prepared_by_earlier_versions_are_read(tmp_path):
    """The key `imagery` of meta.json was called `kind`."""
    (tmp_path / "glyphs").mkdir()
    (tmp_path / "glyphs/meta.json").write_text('{"kind": "photos", "size": 5}')
    np.save(tmp_path / "glyphs/images.npy", np.zeros((1, 1, 5, 5, 3), np.uint8))
    assert load("glyphs", tmp_path).meta == {"imagery": "photos", "size": 5}
