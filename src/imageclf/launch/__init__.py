"""Who goes through the door: this process, ranks of this machine, tasks of srun and torchrun, jobs of a sweep."""
