"""Predict a split with any weights and views, and leave the training as it was."""
