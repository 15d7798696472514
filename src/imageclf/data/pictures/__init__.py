"""From a file to pixels: decoded, checked, shrunk, and kept between runs."""
