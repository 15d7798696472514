"""Figures of what a run learned, of its pictures, and of many runs."""
