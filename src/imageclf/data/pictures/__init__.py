"""From a file to pixels: decoded, checked, shrunk, and cached between runs."""
