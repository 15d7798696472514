"""What a process needs of its machine: files, locks, signals, processes, its place among tasks. No torch."""
