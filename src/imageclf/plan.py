"""imageclf-plan: print and plot what every phase and step of a schedule does, without training."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("plan")
def main(cfg: DictConfig, folder: Path) -> None:
    """Print the phases as a table; write plan.csv and plan.png."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.plan import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
