"""imageclf-export: a finished run as a folder for stock timm, or as a file for onnxruntime."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


@command("commands/export")
def main(cfg: DictConfig, folder: Path) -> None:
    """Write the folder, and print where it is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.export import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
