"""Pages, plots and tables of the numbers in analysis. Imports no torch."""
