"""imageclf-predict: predict the pictures of a folder with a finished run, into a CSV."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main
from imageclf.system.printable import show


# Not in CONF_DIR itself: there `data=FOLDER` would choose from the config group of that name.
@hydra.main(config_path=f"{CONF_DIR}/commands", config_name="predict", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Predict, write the CSV, and print where it is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.predict import PredictOptions, predict_folder
    from imageclf.configs import to_plain
    from imageclf.training.check_keys import check
    from imageclf.training.logs import log_to_file

    config = to_plain(cfg)
    check(config, PredictOptions)
    log_to_file(Path(config["run"]))
    show(predict_folder(PredictOptions(**config)))


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
