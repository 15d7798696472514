"""imageclf-predict: predict the pictures of a folder with a finished run, into a CSV."""

import hydra
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main


@hydra.main(config_path=CONF_DIR, config_name="predict", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Predict, write the CSV, and print where it is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.configs import check, to_plain
    from imageclf.runs.inference import PredictOptions, predict_folder

    config = to_plain(cfg)
    check(config, PredictOptions)
    print(predict_folder(PredictOptions(**config)))


def main() -> None:
    """Run the command line."""
    run_main(job, "predict")


if __name__ == "__main__":
    main()
