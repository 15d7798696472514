"""imageclf-predict: predict pictures with a finished run, into a CSV."""

from pathlib import Path

from omegaconf import DictConfig

from imageclf.configs import command


# Below commands/: beside the config groups, `data=FOLDER` would choose from the group of that name.
@command("commands/predict")
def main(cfg: DictConfig, folder: Path) -> None:
    """Predict, write the CSV, and print a summary and where the CSV is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.predict import run

    run(cfg, folder)


if __name__ == "__main__":
    main()
