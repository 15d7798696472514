"""imageclf-lr-find: search the learning rate of one phase, without training."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main


@hydra.main(config_path=CONF_DIR, config_name="lr_find", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> float | None:
    """Search, write `lr_find/PHASE.csv`, `.png` and `.json`, and return the suggestion."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.lr_find import search
    from imageclf.configs import to_plain
    from imageclf.configs.options import LrFindOptions
    from imageclf.training.check_keys import check
    from imageclf.training.logs import log_to_file

    config = to_plain(cfg)
    check(config, LrFindOptions)
    folder = Path(HydraConfig.get().runtime.output_dir)
    log_to_file(folder)
    phase, suggestion = search(config, folder)
    shown = f"{suggestion.lr:.2e}" if suggestion.lr else f"none, because {suggestion.reason}"
    print(f"{phase}: suggested learning rate of the head {shown}")
    print(folder / "lr_find" / f"{phase}.png")
    return suggestion.lr


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
