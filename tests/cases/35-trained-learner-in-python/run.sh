#!/usr/bin/env bash
# Run in the project's root: bash tests/cases/35-trained-learner-in-python/run.sh
# Shows: works, but only by reading the source (four internal modules, and the prepared data set must be there)
# Right: one documented call, e.g. bench.load(folder) -> learner, and a README example: support images + labels -> predictions
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
python -m bench prepare glyphs > /dev/null
RUN=glyphs/5way_1shot/protonet/seed0; python -m bench train "$HERE/study.yaml" $RUN 2>/dev/null
DATA_ROOT=$SCRATCH/nothing PYTHONPATH=$PWD python "$HERE/load.py" "$RESULTS_ROOT/tiny/$RUN"   # without the prepared data
