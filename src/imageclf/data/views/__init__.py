"""The views of pictures that make up a batch: draws, geometry, lighting."""
