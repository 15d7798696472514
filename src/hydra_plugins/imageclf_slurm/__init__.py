"""Hydra finds the launcher of cluster=slurm here."""
