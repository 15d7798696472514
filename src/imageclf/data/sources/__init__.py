"""From a folder or a CSV to one table of pictures, split for training and validation."""
