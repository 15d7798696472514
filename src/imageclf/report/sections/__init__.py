"""Sections of a run's report that only some tasks have."""
