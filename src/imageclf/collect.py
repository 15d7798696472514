"""imageclf-collect: one table of all runs below a folder, in the terminal, as CSV and as a page."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main
from imageclf.system.printable import console, show


@hydra.main(config_path=f"{CONF_DIR}/commands", config_name="collect", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> None:
    """Print the table; write collect.csv and collect.html, and print where the page is."""
    # Imported here: --help and Tab need no torch.
    from imageclf.commands.collect import CollectOptions, collect, terminal_tables, write_files
    from imageclf.configs import to_plain
    from imageclf.training.check_keys import check

    config = to_plain(cfg)
    check(config, CollectOptions)
    options = CollectOptions(**config)
    runs = collect(options)
    page = write_files(runs, Path(options.out or options.root).expanduser())
    terminal = console(width=500)
    for table in terminal_tables(runs, terminal.width):
        terminal.print(table)
    show(page)


def main() -> None:
    """Run the command line."""
    run_main(job)


if __name__ == "__main__":
    main()
