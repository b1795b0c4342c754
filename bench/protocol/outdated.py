"""Is a result still that of its study, code and data? Told from the digests in its records, not from times of files.

Imports no torch: `status` and Snakemake's plan ask this of every run of a study.
"""

import json
from functools import cache, cached_property
from typing import Any

from bench.protocol.fingerprint import code_files, content_digest, file_digest
from bench.results.digests import digest_of
from bench.results.run_folder import RunResult, read_run
from bench.results.schema import MODEL, TEST_FILES, TRAINING_FILES
from bench.study.jobs import TestingJob
from bench.study.run import Pretraining, Run
from bench.study.study import Study
from tasks.catalogue import path_name, prepared_root

UNKNOWN = "it was made by an older version, which did not record its code"


def made_from_of_test(trained: RunResult, job: TestingJob, code: str) -> dict[str, Any]:
    """What test.json records of the inputs of a test. code: digest of the files behind it."""
    others = {name: data_digest(name) for name in job.experiments.other_data}
    return {
        "settings": digest_of(job.as_dict()),
        "code": code,
        "model": trained.recorded.get(MODEL),
        "data": trained.run["data"]["digest"],
        "other_data": others,
    }


def data_digest(name: str) -> str | None:
    """Digest of a prepared image data set; None where it is not prepared, or cannot be read."""
    try:
        folder = prepared_root() / path_name(name).replace(":", "_")
        return json.loads((folder / "meta.json").read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Outdated:
    """Compares the results of a study with its settings, its code and its data as they are now."""

    def __init__(self, study: Study):
        self.study = study
        self._code, self._file = cache(self._code_digest), cache(file_digest)
        self._data = cache(data_digest)
        self._models: dict[str, str | None] = {}
        self._job = cache(study.training_job)

    def why(self, run: Run, result: RunResult) -> str:
        """Why a run's training or test does not count; empty where both do, or where there are none."""
        return self.training(run, result) or (self.test(run, result) if result.tested else "")

    def training(self, run: Run, result: RunResult) -> str:
        """Why a run's training does not count; empty where it does, or where there is none."""
        record = result.run
        if record is None:
            return ""
        made = record.get("made_from")
        if made is None:
            return UNKNOWN
        job = self._job(run)
        shared = self.study.pretraining(run)
        return self._first(
            (
                made["settings"] != digest_of(job.as_dict()),
                "the study's settings of its training have changed",
            ),
            (made["code"] != self.code_of("train", job), "the code of its training has been edited"),
            (
                self._other_data(run, record["data"]["digest"]),
                f"the prepared data of {run.dataset} have changed",
            ),
            (
                shared and self._other_model(shared, made["pretraining"]),
                "its pretraining has been trained again",
            ),
            *self._files(result, TRAINING_FILES),
        )

    def test(self, run: Run, result: RunResult) -> str:
        """Why a run's test does not count, although its training does; empty where it does, or where there is none."""
        record = result.test
        if record is None or result.run is None:
            return ""
        made = record.get("made_from")
        if made is None:
            return UNKNOWN
        others = made["other_data"].items()
        return self._first(
            (
                made["settings"] != self._test_settings[run.dataset],
                "the study's settings of its test have changed",
            ),
            (
                made["code"] != self.code_of("test", self._job(run)),
                "the code of its test has been edited",
            ),
            (made["model"] != result.recorded.get(MODEL), "its model has been trained again"),
            (
                any(self._data(name) not in (None, digest) for name, digest in others),
                "other test data have changed",
            ),
            *self._files(result, TEST_FILES),
        )

    def code_of(self, verb: str, job: Any) -> str:
        """Digest of the code behind a verb's jobs, as it is now."""
        texts = tuple(sorted(value for value in job.overrides.values() if isinstance(value, str)))
        return self._code(verb, job.code, texts, job.dataset)

    @staticmethod
    def _first(*checks: tuple[Any, str]) -> str:
        return next((reason for failed, reason in checks if failed), "")

    @cached_property
    def _test_settings(self) -> dict[str, str]:
        runs = {run.dataset: run for run in self.study.runs()}
        return {name: digest_of(self.study.testing_job(run).as_dict()) for name, run in runs.items()}

    def _code_digest(self, verb: str, algorithm: str, texts: tuple[str, ...], dataset: str) -> str:
        return content_digest(code_files(verb, algorithm, dict(enumerate(texts)), dataset), self._file)

    def _other_data(self, run: Run, digest: str) -> bool:
        return run.kind == "classification" and self._data(run.dataset) not in (None, digest)

    def _other_model(self, shared: Pretraining, used: str | None) -> bool:
        """Whether a pretraining that is there has another model than the one that was used."""
        if shared.name not in self._models:
            self._models[shared.name] = read_run(shared.folder).recorded.get(MODEL)
        return self._models[shared.name] not in (None, used)

    @staticmethod
    def _files(result: RunResult, names: tuple[str, ...]) -> list[tuple[bool, str]]:
        """Files that are missing, or whose size is not the recorded one."""
        found = []
        recorded = result.recorded
        for name in names:
            size = result.sizes[name]
            if recorded.get(name, "").partition(":")[0] != str(size):
                reason = "is missing" if size is None else "has another size than was written"
                found.append((True, f"{name} {reason}"))
        return found
