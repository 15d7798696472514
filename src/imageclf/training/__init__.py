"""One run: its config checked and built, its directory, and the door that trains it."""
