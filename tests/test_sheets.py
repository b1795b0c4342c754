"""Picture sheets: every shift at every severity, one column per class of an episode, equal bytes for equal input."""

import pytest

from bench.protocol.sheets import episode_sheet, render, shift_sheet
from tasks.episodes import FrozenEpisodes
from tasks.shift_table import SHIFTS
from tests.drawings import omniglot, photos, strokes


@pytest.fixture(params=[strokes, omniglot], ids=["strokes", "omniglot"])
def drawings(request):
    return request.param()


def test_sheets_render_the_same_bytes_and_show_every_shift(drawings):
    sheet = shift_sheet(drawings)
    labels = {axes.get_ylabel() for axes in sheet.axes}
    assert {shift.title for shift in SHIFTS.values()} <= labels and len(sheet.axes) == 6 * len(SHIFTS)
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        once, again = (render(shift_sheet(drawings, ["blur", "shear"]), suffix, dpi=40) for _ in range(2))
        assert once == again and once.startswith(start)
    with pytest.raises(ValueError, match="'sheer'.*shear"):
        shift_sheet(drawings, ["sheer"])


def test_photo_sheet_leaves_out_what_is_for_glyphs_only():
    titles = {axes.get_ylabel() for axes in shift_sheet(photos()).axes}
    assert titles == {shift.title for shift in SHIFTS.values() if shift.name != "thickness"} | {""}


def test_episode_sheet_puts_each_class_in_a_column(drawings):
    episodes = FrozenEpisodes.draw(*drawings.images.shape[:2], 2, 5, 2, 2, "sheet")
    sheet = episode_sheet(drawings, episodes, episode=1)
    assert len(sheet.axes) == 5 * (2 + 2)
    chosen = episodes.support[1][episodes.support_y[1] == 3][0] // drawings.images.shape[1]
    quarter = chosen // len(drawings.base_classes)
    character = drawings.class_names[chosen].split("/")[1]
    assert sheet.axes[3].get_title() == f"script\n{character}" + (f" {90 * quarter}°" if quarter else "")
