#!/usr/bin/env bash
# Run in the project's root: bash tests/cases/34-own-image-folder/run.sh
# Shows: own class folders: no way in a study; a hand-written prepared form worked with bench train/test but snakemake refused its name
# Right: e.g. `datasets: {folder:/path: ...}` with train/val/test sub-folders or a seeded class split, unequal class sizes, any size; documented in the README
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
export DATA_ROOT=$SCRATCH/data; python "$HERE/folder.py"
for shot in 1 5; do sed "s#FOLDER#$SCRATCH/birds#;s/SHOT/$shot/" "$HERE/study.yaml" > "$SCRATCH/s$shot.yaml"; done
 snakemake -n --configfile "$SCRATCH/s1.yaml" 2>&1 | grep -E "^rule (prepare|train|test|report)|Error"
 python -m bench prepare "folder:$SCRATCH/birds" | tail -2
 RUN=$(python -m bench status "$SCRATCH/s1.yaml" | grep -o "folder_.*seed0")
 python -m bench train "$SCRATCH/s1.yaml" "$RUN" 2>&1 | tail -1
 python -m bench train "$SCRATCH/s5.yaml" "${RUN/1shot/5shot}" 2>&1 | tail -1   # 8 images a class: shot 5 + train_query 5
