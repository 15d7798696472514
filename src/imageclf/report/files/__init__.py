"""Read the files of a run directory that pages are made of, and check what they compute with."""
