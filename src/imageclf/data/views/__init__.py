"""What a picture looks like in a batch: draws, geometry, lighting."""
