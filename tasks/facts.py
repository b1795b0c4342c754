"""Facts about data that trainings do not depend on."""

from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[1] / "data"
"""Folder of the project with facts about data: sources, splits, published values."""
LAKE_DATA = ("omniglot", "lake")
"""Data set and split whose meta-training classes hold no character of Lake's runs."""
