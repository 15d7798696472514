"""imageclf-batch-size: find the largest batch that the memory holds."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main


@hydra.main(config_path=CONF_DIR, config_name="batch_size", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> float:
    """Search, and print the largest batch as an override."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.batch_size import find_batch_size
    from imageclf.configs import to_plain
    from imageclf.configs.options import BatchSizeOptions
    from imageclf.training.check_keys import check
    from imageclf.training.logs import log_to_file

    config = to_plain(cfg)
    check(config, BatchSizeOptions)
    folder = Path(HydraConfig.get().runtime.output_dir)
    log_to_file(folder)
    found = find_batch_size(config, folder)
    print(f"data.batch_size={found}")
    return float(found)


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
