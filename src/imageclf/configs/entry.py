"""Run a Hydra main, and turn whatever happens into one sentence and an exit code."""

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from imageclf import InputError
from imageclf.configs.check import unknown_key
from imageclf.configs.paths import CONF_DIR
from imageclf.configs.plain import flat_keys

DONE, MISTAKE, FAILED, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130

log = logging.getLogger(__name__)


def run_main(main: Callable[[], object], config_name: str) -> NoReturn:
    """Call a Hydra main and exit: 0 done, 1 a mistake in the input, 2 the run failed, 130 interrupted.

    The codes are made here, outside hydra.main: an exit inside a job would end a whole sweep.

    Args:
        main: decorated with hydra.main.
        config_name: its config, for suggestions.
    """
    # Hydra would print its own shortened traceback and exit with 1, whatever happened.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(_say(INTERRUPTED, "interrupted"))
    except InputError as error:
        sys.exit(_say(MISTAKE, str(error)))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_say(MISTAKE, explain(error, config_name)))
    except Exception:
        traceback.print_exc()
        sys.exit(FAILED)
    sys.exit(DONE)


def explain(error: Exception, config_name: str) -> str:
    """Return Hydra's complaint as one sentence, without its advice to append a key that does not exist."""
    cause = error
    while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
        if isinstance(cause, InputError):
            return str(cause)
    match = re.search(r"Could not (?:override|delete from config)[^']*'([^']+)'", str(error))
    if match and "Could not override" in str(error):
        return str(unknown_key(match[1], _known_keys(config_name)))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])


def _known_keys(config_name: str) -> list[str]:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return flat_keys(OmegaConf.to_container(compose(config_name), resolve=False))


def _say(code: int, sentence: str) -> int:
    print(f"imageclf: {sentence}", file=sys.stderr)
    return code
