"""The list of the reference runs, config/reference.yaml: runs of studies, in order of priority."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jsonschema

from bench.results.reference_store import is_kept
from bench.study.run import Run
from bench.study.study import Study, load_study
from bench.study.text import read_yaml

FILE = "config/reference.yaml"
LIST_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"study": {"type": "string"}, "run": {"type": "string"}},
        "required": ["study", "run"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Entry:
    """A line of the list: a run of a study."""

    study: Study
    run_name: str

    @cached_property
    def run(self) -> Run:
        return self.study.run(self.run_name)


def read_list(path: Path) -> list[Entry]:
    """Return the runs in order of priority. Raises ValueError naming the file and the bad entry."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; write a YAML list of entries {{study: FILE, run: NAME}}"
        )
    lines = read_yaml(path) or []
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(LIST_SCHEMA).iter_errors(lines))
    if error:
        raise ValueError(f"{path}: entry {'.'.join(map(str, error.absolute_path))}: {error.message}")
    studies = {file: load_study(file) for file in dict.fromkeys(line["study"] for line in lines)}
    return [Entry(studies[line["study"]], line["run"]) for line in lines]


class KeptStudy(Study):
    """A study of which only the runs count that are among the reference results; its note says how many they are."""

    def __init__(self, study: Study):
        planned = study.runs()
        self._kept = [run for run in planned if is_kept(run)]
        note = (
            f"Reference results: {len(self._kept)} of {len(planned)} planned runs have been made. Where a budget or a network "
            "differs from the paper's, it stands beside the result."
        )
        super().__init__(
            read_yaml(Path(study.origin)) | {"note": f"{study.settings.note} {note}".strip()}, study.origin
        )

    def runs(self) -> list[Run]:
        """Every run of the study that is kept."""
        return list(self._kept)


def listed_studies(path: Path) -> list[KeptStudy]:
    """Return the studies of the list, each once, in its order."""
    studies = {entry.study.origin: entry.study for entry in read_list(path)}
    return [KeptStudy(study) for study in studies.values()]
