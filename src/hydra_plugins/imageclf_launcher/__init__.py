"""Hydra finds its plugins by importing all of hydra_plugins, also for --help: nothing heavy is imported here."""
