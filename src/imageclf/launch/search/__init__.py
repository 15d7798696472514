"""A search for the best values: optuna is asked for a trial whenever a slot is free, and told each result."""
