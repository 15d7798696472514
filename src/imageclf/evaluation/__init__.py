"""The model on a split, whatever weights and views: predicted beside the training, which it leaves as it was."""
