#!/bin/bash
#SBATCH --job-name=geoseg
#SBATCH --array=1-100
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=02:00:00
# One scene a task: line number SLURM_ARRAY_TASK_ID of scenes.txt. A task that is started again goes on where it stopped.
set -euo pipefail
scene=$(sed -n "${SLURM_ARRAY_TASK_ID}p" scenes.txt)
name=$(basename "${scene%.*}")
mkdir -p maps
if [ -e "maps/$name.gpkg" ]; then
    exit 0
fi
geoseg predict "$scene" --out "maps/$name.gpkg" --mask "maps/$name.tif" --threads "$SLURM_CPUS_PER_TASK" --resume
