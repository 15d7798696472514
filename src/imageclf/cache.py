"""imageclf-cache: list or clear what is kept between runs: shrunk pictures, features, verified sets."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("commands/cache")
def main(cfg: DictConfig, folder: Path) -> None:
    """Print what there is, or remove it."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.cache import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
