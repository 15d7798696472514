"""cluster=slurm: what is checked, submitted, watched and requeued."""
