"""The jobs of a sweep: all of them are composed and checked before the first one starts."""

import pickle
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from imageclf import InputError
from imageclf.configs import explain, record, to_plain
from imageclf.configs.entry import composing
from imageclf.configs.plain import Plain, to_saved
from imageclf.configs.replaced import drop_replaced
from imageclf.launch.start import check_job
from imageclf.system.errors import Failure, RunError
from imageclf.system.progress import track
from imageclf.training.location import check_location


def set_up(config: DictConfig) -> None:
    """Let the process that launches a sweep log as Hydra is configured to."""
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        number: in the sweep.
        name: number and the overrides that differ from those of the other jobs, for messages.
        overrides: all of them, as Hydra got them.
        packed: its config, see `pack`: as objects a thousand configs would fill gigabytes.
        packed_plain: the same as plain values without the hydra node, which are quicker to read.
        run_dir: where it trains.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    packed: bytes
    packed_plain: bytes
    run_dir: Path

    @property
    def config(self) -> DictConfig:
        """Return the composed config with its hydra node, another copy each time."""
        config: DictConfig = unpack(self.packed)
        return config

    @property
    def plain(self) -> Plain:
        """Return the config as plain values, all of them resolved, another copy each time."""
        plain: Plain = unpack(self.packed_plain)
        return plain

    def error(self, failure: Failure) -> RunError:
        """Return why the job failed as an error that names it."""
        return RunError(f"{self.name}: {failure.line}; see {self.run_dir}", failure.exit_code)


def pack(config: DictConfig | Plain) -> bytes:
    """Return a config as the few kilobytes that a `Job` holds of it."""
    # The quickest level: a thousand configs are packed while the user waits.
    return zlib.compress(pickle.dumps(config), 1)


def unpack(packed: bytes) -> Any:
    """Return the config that `pack` was given."""
    return pickle.loads(zlib.decompress(packed))


def compose_jobs(
    loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[Job]:
    """Return the jobs of a batch, all of them checked.

    `job_overrides` has a list for each job, and `first` is the number of the first one in the sweep.

    Raises:
        InputError: a mistake in a job; the message names the job.
    """
    # What was typed as it is, or is the same in all jobs, does not tell them apart.
    common = set(config.hydra.overrides.task)
    if len(job_overrides) > 1:
        common |= set.intersection(*map(set, job_overrides))
    jobs = []
    with track("checking the runs", len(job_overrides), "runs") as advance:
        for number, given in enumerate(job_overrides, first):
            jobs.append(_checked(loader, config, given, number, common))
            advance(1)
    return jobs


def _checked(
    loader: ConfigLoader, config: DictConfig, given: Sequence[str], number: int, common: Collection[str]
) -> Job:
    own = " ".join(each.lstrip("+") for each in given if each not in common and not each.startswith("~"))
    name = f"job {number}" + (f" ({own})" if own else "")
    overrides = [each for each in given if not each.startswith("resume_sweep=")]
    try:
        composed = _compose(loader, config, overrides, number)
        packed, run_dir = pack(composed), Path(composed.hydra.runtime.output_dir)
        with task_config(composed, unpack(packed)) as cfg:
            # For a single run the command does these two, before it looks at the rest.
            plain = to_plain(cfg)
            to_saved(cfg, plain)
            check_location(run_dir)
            check_job(cfg, plain, run_dir, overrides)
    except (InputError, HydraException, OmegaConfBaseException) as error:
        raise InputError(f"{name}: {explain(error)}") from error
    return Job(number, name, tuple(overrides), packed, pack(plain), run_dir)


def _compose(loader: ConfigLoader, config: DictConfig, overrides: list[str], number: int) -> DictConfig:
    """Return the config of a job; its directory is `hydra.runtime.output_dir`."""
    composed = composing(overrides, lambda each: loader.load_sweep_config(config, each))
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
        # The id in it was drawn by this process; another process would draw its own.
        composed.hydra.sweep.dir = str(config.hydra.sweep.dir)
        # As typed: it names the job's number.
        composed.hydra.sweep.subdir = OmegaConf.to_container(config.hydra.sweep)["subdir"]  # type: ignore[call-overload, index]
    with hydra_config(composed), read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
        run_dir = Path(composed.hydra.sweep.dir, str(composed.hydra.sweep.subdir)).absolute()
        composed.hydra.runtime.output_dir = str(run_dir)
    with hydra_config(composed):
        drop_replaced(composed, composed.hydra, loader)
    if config.resume_sweep is not None and (run_dir / "config.yaml").exists():
        composed.ckpt_path = "auto"
    return composed


@contextmanager
def task_config(config: DictConfig, copy: DictConfig) -> Iterator[DictConfig]:
    """Yield a config as the job's function gets it: without the hydra node, to which it may still refer.

    `copy` is another one of the same config, and is changed: `copy.deepcopy` would take four times as
    long as to read the job's packed config again.
    """
    with open_dict(copy):
        del copy["hydra"]
    with hydra_config(config):
        yield copy


@contextmanager
def hydra_config(config: DictConfig) -> Iterator[None]:
    """Resolve `${hydra:...}` from a job's config inside the block."""
    before = HydraConfig.instance().cfg
    # Not by set_config, which copies the node.
    OmegaConf.set_readonly(config.hydra, True)
    HydraConfig.instance().cfg = config  # type: ignore[assignment]
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


class _Returned(JobReturn):
    """Raise a failure as Hydra's does, which prints all overrides first."""

    @property
    def return_value(self) -> Any:
        """Return the score, or raise why there is none."""
        if isinstance(self._return_value, RunError):
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        """Keep the score, or why there is none."""
        self._return_value = value


def job_return(job: Job, result: float | RunError | None) -> JobReturn:
    """Return what Hydra's sweepers expect, and record a failure for the exit code."""
    if isinstance(result, RunError):
        record(result)
    # No sweeper reads the configs, and a thousand of them fill the memory.
    returned = _Returned(
        overrides=list(job.overrides),
        working_dir=str(Path.cwd()),
        status=JobStatus.FAILED if isinstance(result, RunError) else JobStatus.COMPLETED,
    )
    returned.return_value = result
    return returned
