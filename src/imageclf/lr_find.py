"""imageclf-lr-find: search the learning rate of one phase, without training."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("lr_find")
def main(cfg: DictConfig, folder: Path) -> float | None:
    """Search, write `lr_find/PHASE.csv`, `.png` and `.json`, and return the suggestion."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.lr_find import run

    return run(cfg, folder)


if __name__ == "__main__":
    main()
