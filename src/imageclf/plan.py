"""imageclf-plan: print and plot what every phase and step of a schedule does, without training."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main
from imageclf.system.printable import console


@hydra.main(config_path=CONF_DIR, config_name="plan", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Print the phases as a table; write plan.csv and plan.png."""
    # Imported here: --help and Tab need no torch.
    import pandas as pd

    from imageclf.callbacks.always.plan_files import phase_table, write_plan
    from imageclf.configs import to_plain
    from imageclf.configs.options import TrainOptions
    from imageclf.schedule import step_rows
    from imageclf.training.build import build_parts
    from imageclf.training.check_keys import check
    from imageclf.training.parts.table import read_table
    from imageclf.training.planned_machine import machine_line

    config = to_plain(cfg)
    check(config, TrainOptions)
    # The plan needs the architecture, not its weights.
    config["model"]["weights"] = "none"
    schedule, module, data = build_parts(config, read_table(config["data"], verify=False))
    console().print(phase_table(schedule, module, data))
    print(machine_line(config["trainer"], data))
    folder = Path(HydraConfig.get().runtime.output_dir)
    rows = step_rows(
        schedule,
        module.groups.names,
        data.num_batches,
        data.loading.size,
        found={},
        depths=module.groups.tops,
    )
    write_plan(pd.DataFrame(rows), folder)
    print(folder / "plan.png")


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
