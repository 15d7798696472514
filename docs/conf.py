"""How `make docs` builds the pages of docs/ as a site."""

project = "imageclf"
project_copyright = "2026 The imageclf authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "imageclf"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# Blocks named `output` are what a command prints.
suppress_warnings = ["misc.highlighting_failure"]
