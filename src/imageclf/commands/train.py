"""Train a composed config."""

from imageclf.launch.start import start as run

__all__ = ["run"]
