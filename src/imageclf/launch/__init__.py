"""Start the door: in this process, in ranks, in tasks of srun and torchrun, in the jobs of a sweep."""
