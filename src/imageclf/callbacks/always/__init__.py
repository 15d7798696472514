"""Callbacks that every run has, whatever its config says."""
