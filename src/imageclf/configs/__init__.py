"""Where the configs are, how they are checked, and how a main reports what went wrong. Imports no torch."""

from imageclf.configs.check import check
from imageclf.configs.entry import JobError, explain, record, recorded, run_main
from imageclf.configs.instantiate import instantiate, locate_target
from imageclf.configs.paths import CONF_DIR
from imageclf.configs.plain import load_config, save_config, to_plain
from imageclf.configs.short_data import data_options, expand_data

__all__ = [
    "CONF_DIR",
    "JobError",
    "check",
    "data_options",
    "expand_data",
    "explain",
    "instantiate",
    "load_config",
    "locate_target",
    "record",
    "recorded",
    "run_main",
    "save_config",
    "to_plain",
]
