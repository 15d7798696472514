"""imageclf-prefetch: fetch a model's weights into the cache, for nodes without internet."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("prefetch")
def main(cfg: DictConfig, folder: Path) -> None:
    """Fetch the weights, and print where they are."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.prefetch import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
