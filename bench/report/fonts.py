"""A small font for PDFs. Each PDF embeds the letters it has, and to find them in the whole of DejaVu Sans took longer than to draw."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from fontTools import subset
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

FULL, SMALL = "DejaVu Sans", "DejaVu Sans Small"
WEIGHTS = ("normal", "bold")
BLOCKS = ((0x0A, 0x0B), (0x20, 0x180), (0x370, 0x400), (0x2000, 0x2070), (0x2190, 0x2270))
"""Code points: line feed, Latin, Greek, punctuation, arrows and operators."""
LETTERS = {chr(point) for block in BLOCKS for point in range(*block)}
FAMILY_NAMES = (1, 16)


def pdf_settings(canvas: Figure) -> dict[str, str]:
    """Return Matplotlib's settings for a PDF of a drawn figure: the small font, unless it lacks one of the letters."""
    if not {letter for text in canvas.findobj(Text) for letter in text.get_text()} <= LETTERS:
        return {}
    _add_small_fonts()
    return {"font.sans-serif": SMALL}


@cache
def _add_small_fonts() -> None:
    """Make the small fonts known to Matplotlib, once; their files last as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="bench-fonts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for weight in WEIGHTS:
        path = folder / f"{weight}.ttf"
        full = font_manager.FontProperties(family=[FULL], weight=weight)
        _save_small(font_manager.findfont(full, fallback_to_default=False), path)
        font_manager.fontManager.addfont(path)


def _save_small(full: str, path: Path) -> None:
    """Write those of a font's letters that figures usually have, under another family name."""
    options = subset.Options(layout_features=["*"], name_IDs=["*"])
    options.drop_tables += ["FFTM"]  # FontForge's date
    with subset.load_font(full, options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(text="".join(LETTERS))
        subsetter.subset(font)
        for record in font["name"].names:
            if record.nameID in FAMILY_NAMES:
                record.string = SMALL
        subset.save_font(font, path, options)
