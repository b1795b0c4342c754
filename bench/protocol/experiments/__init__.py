"""Test tasks unlike those of meta-training, on images: one file per experiment, found by file name.

A file's name is its key under `experiments` of a study. It declares two literals: `SETTING`, a JSON-schema fragment of
that key, and `TITLES`, the report's label of each kind of test tasks; and a function

    results(learner, source, frozen, job) -> Iterator[Result]

that scores in the learner's reported mode, on frozen episodes of its own, and leaves out what a learner or a data set
cannot do. `WEIGHTS = "initial"` gives it the learner as it was before meta-training. bench/protocol/other_tasks.py runs
the experiments that a study asks for.
"""
