"""imageclf-collect: one table of all runs below a folder, in the terminal, as CSV and as a page."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command
from imageclf.configs.quote_paths import quote_paths


@command("commands/collect", quote_paths("root", "out"))
def main(cfg: DictConfig, folder: Path) -> None:
    """Print the table; write collect.csv and collect.html, and print where the page is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.collect import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
