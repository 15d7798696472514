"""Predict a split with any weights and views, without changing the training."""
