"""imageclf-cache: list or clear what is kept between runs: shrunk pictures, features, verified sets."""

import hydra
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main


@hydra.main(config_path=f"{CONF_DIR}/commands", config_name="cache", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Print what there is, or remove it."""
    # Imported here: --help and Tab need no torch.
    from rich.console import Console

    from imageclf.commands.cache import CacheOptions, clear, select, table_of
    from imageclf.configs import to_plain
    from imageclf.training.check_keys import check

    config = to_plain(cfg)
    check(config, CacheOptions)
    options = CacheOptions(**config)
    chosen = select(options)
    if options.action == "clear":
        print(clear(chosen))
    else:
        Console().print(table_of(chosen, options.root))


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
