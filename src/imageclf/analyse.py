"""imageclf-analyse: what is wrong with a data set, its classes and its sizes, before training."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("analyse")
def main(cfg: DictConfig, folder: Path) -> None:
    """Look at every picture; write pictures.csv, classes.csv, problems.csv, plots and analysis.html."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.analyse import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
