"""imageclf-collect: one table of all runs below a folder, in the terminal, as CSV and as a page."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("commands/collect")
def main(cfg: DictConfig, folder: Path) -> None:
    """Print the table; write collect.csv and collect.html, and print where the page is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.collect import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
