"""Which data sets are on this machine in their prepared form."""

from pathlib import Path

from tasks.catalogue import folder_name, prepared_root


def is_prepared(name: str, root: Path | None = None) -> bool:
    """Whether the data set of this name has its prepared form below `root` (default: `prepared_root()`)."""
    return ((root or prepared_root()) / folder_name(name) / "meta.json").exists()
