"""Found by Hydra, which imports all of hydra_plugins, also for --help: nothing heavy here."""
