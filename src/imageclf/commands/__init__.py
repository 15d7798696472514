"""What the commands do besides training, a file for each."""
