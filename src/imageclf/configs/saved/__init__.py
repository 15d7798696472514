"""Read what a run directory or a stranger's file holds: within bounds, and only what is trusted is built."""
