"""imageclf-export: a finished run as a folder for stock timm, or as a file for onnxruntime."""

import hydra
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main
from imageclf.system.printable import show


@hydra.main(config_path=f"{CONF_DIR}/commands", config_name="export", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Write the folder, and print where it is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.export import ExportOptions, export
    from imageclf.configs import to_plain
    from imageclf.training.check_keys import check

    config = to_plain(cfg)
    check(config, ExportOptions)
    show(export(ExportOptions(**config)))


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
