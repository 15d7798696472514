"""imageclf-batch-size: find the largest batch that fits into memory."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("batch_size")
def main(cfg: DictConfig, folder: Path) -> float:
    """Search, and print the largest batch as an override."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.batch_size import run

    return run(cfg, folder)


if __name__ == "__main__":
    main()
