"""Weights: where they come from, how they are averaged, and files of them."""
