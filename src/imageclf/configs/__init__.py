"""Where the configs are, how they are checked, and how a main reports what went wrong. Imports no torch."""

from imageclf.configs.ending import exit_code, explain, record, recorded
from imageclf.configs.entry import command, run_main
from imageclf.configs.instantiate import instantiate, locate_target
from imageclf.configs.paths import CONF_DIR, options_of
from imageclf.configs.plain import Plain, load_config, save_config, to_plain
from imageclf.configs.saved.trust import Trust, check_node, check_saved, foreign_targets, own_modules
from imageclf.configs.saved.untrusted import read_config, read_object

__all__ = [
    "CONF_DIR",
    "Plain",
    "Trust",
    "check_node",
    "check_saved",
    "command",
    "exit_code",
    "explain",
    "foreign_targets",
    "instantiate",
    "load_config",
    "locate_target",
    "options_of",
    "own_modules",
    "read_config",
    "read_object",
    "record",
    "recorded",
    "run_main",
    "save_config",
    "to_plain",
]
