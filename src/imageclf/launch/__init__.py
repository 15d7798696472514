"""Start a training: in this process, as ranks, as tasks of srun or torchrun, as jobs of a sweep or SLURM."""
