"""imageclf-analyse: what is wrong with a data set, its classes and its sizes, before training."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, data_options, expand_data, recorded, run_main
from imageclf.system.printable import console, show


@hydra.main(config_path=CONF_DIR, config_name="analyse", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Look at every picture; write pictures.csv, classes.csv, problems.csv, plots and analysis.html."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.analyse import analyse, summary_table
    from imageclf.configs import to_plain
    from imageclf.configs.options import TrainOptions
    from imageclf.report import write_data_report
    from imageclf.training.check_keys import check

    config = to_plain(cfg)
    check(config, TrainOptions)
    analysis = analyse(config)
    page = write_data_report(analysis, Path(HydraConfig.get().runtime.output_dir))
    console().print(summary_table(analysis))
    show(page)


def start() -> None:
    """Write data=PATH out in full, and call the job."""
    sys.argv[1:] = expand_data(sys.argv[1:], data_options(sys.argv[1:]))
    job()


def main() -> None:
    """Run the command line."""
    run_main(start)


if __name__ == "__main__":
    main()
