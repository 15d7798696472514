"""imageclf-prefetch: fetch a model's weights into the cache, for nodes without internet."""

import hydra
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main


@hydra.main(config_path=CONF_DIR, config_name="prefetch", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Fetch the weights, and say where they are."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.prefetch import prefetch
    from imageclf.configs import to_plain
    from imageclf.configs.options import PrefetchOptions
    from imageclf.training.check_keys import check

    config = to_plain(cfg)
    check(config, PrefetchOptions)
    print(prefetch(config["model"]))


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
