"""What a run does as a trial of a search; needs optuna, which only searches load."""
