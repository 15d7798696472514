"""What `data=PATH` and `model=NAME` stand for: options that no file of conf/ has."""
