#!/usr/bin/env bash
# A GPU for some minutes, spent on what is worth most: its tests, the speed of every case, then trainings, many at a time.
#
#   benchmarks/gpu.sh OUT MINUTES STUDY RUN...      e.g. out 12 config/omniglot_cpu.yaml omniglot/5way_1shot/maml/seed0
#
# OUT gets tests.log, benchmarks.csv, a log per training, and results.tar.gz, whose run folders `python -m bench reference --add`
# takes. A training that the end cuts off has a checkpoint there: unpack it into OUT/results, and the same command resumes it.
# JOBS: trainings at a time. CASES: of the benchmarks, all if empty. DEVICE=cpu tries every step where there is no GPU.
set -uo pipefail
[ $# -ge 4 ] || { sed -n 's/^# *//;4p' "$0" >&2; exit 2; }
out=$1 end=$(($(date +%s) + 60 * $2)) study=$3
shift 3
python=${PYTHON:-python} device=${DEVICE:-cuda}
left() { echo $((end - $(date +%s))); }
"$python" -c "import sys, torch; sys.exit('$device' == 'cuda' and not torch.cuda.is_available())" ||
  { echo "no GPU that torch can use; DEVICE=cpu tries the steps without one" >&2; exit 2; }
mkdir -p "$out"

timeout $(($(left) / 4)) "$python" -m pytest -q tests/test_gpu.py 2>&1 | tee "$out/tests.log" | tail -n 3
timeout $(($(left) / 3)) "$python" -m benchmarks --device "$device" --output "$out/benchmarks.csv" ${CASES:-} > "$out/benchmarks.log" 2>&1
echo "benchmarks: exit $?, $(wc -l < "$out/benchmarks.csv" 2>/dev/null || echo 0) lines"

export RESULTS_ROOT=$out/results end study python out
train() { # A minute is kept for the end: SIGTERM makes a training save a checkpoint.
  seconds=$(($(left) - 60))
  [ $seconds -gt 0 ] || { echo "$1: no time left"; return; }
  timeout --signal=TERM --kill-after=40 $seconds "$python" -m bench train "$study" "$1" > "$out/${1//\//-}.log" 2>&1
  echo "$1: exit $?, $(tr '\r' '\n' < "$out/${1//\//-}.log" | tail -n 1)"
}
export -f train left
printf '%s\n' "$@" | xargs -P "${JOBS:-8}" -I RUN bash -c 'train RUN'
tar -C "$RESULTS_ROOT" -czf "$out/results.tar.gz" .
