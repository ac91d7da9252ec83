"""Jobs of SLURM: the script, what it starts on every node, and how it is handed to sbatch."""
