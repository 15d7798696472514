"""What of its machine this process may use, and how many data workers that is good for."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

# The cores that a sweep deals to each of the jobs that it runs side by side.
SHARE = "IMAGECLF_CORES"
# With fewer pictures an epoch is over before workers are worth their start.
_FEW_PICTURES = 1000
# More feed no card: one core makes about 1,400 views a second at 224 px from a raw store, and decodes
# 400 to 900 photos.
_MOST_FROM_STORE, _MOST_DECODING = 16, 32


Exact = bool | Literal["warn"]


class Machine(NamedTuple):
    """What a run trains on, and how it computes there.

    Args:
        accelerator: cuda, mps or cpu.
        device_name: of the card or the processor.
        precision: 32-true, 16-mixed or bf16-mixed.
        deterministic: True: bit for bit on machines of this kind; warn: as far as torch can.
        num_workers: data workers of each rank.
    """

    accelerator: str
    device_name: str
    precision: str
    deterministic: Exact
    num_workers: int

    @classmethod
    def of(cls, kind: str, name: str, precision: str, exact: Exact, num_workers: int) -> "Machine":
        """Return a machine; on the CPU nothing is left to warn of."""
        return cls(kind, name, precision, exact if kind != "cpu" else bool(exact), num_workers)

    @property
    def sentence(self) -> str:
        """Return all of it in one line.

        >>> Machine("cuda", "NVIDIA H100 80GB HBM3", "bf16-mixed", False, 8).sentence
        'cuda (NVIDIA H100 80GB HBM3), bf16-mixed, not deterministic, 8 data workers'
        """
        words = {True: "deterministic", False: "not deterministic", "warn": "deterministic where torch can"}
        workers = f"{self.num_workers or 'no'} data worker{'' if self.num_workers == 1 else 's'}"
        device = f"{self.accelerator} ({self.device_name})"
        return ", ".join([device, self.precision, words[self.deterministic], workers])


def num_workers(cores: int, num_ranks: int, num_pictures: int, on_gpu: bool, decodes: bool) -> int:
    """Return the data workers that `data.num_workers=auto` stands for, for each rank.

    None where the training process itself would starve (up to two cores a rank) or the set is small (fewer
    than 1,000 pictures). On a GPU half of the rank's cores, at the most 16: on an H100, six of 16 cores fed
    8,800 pictures a second at 224 px. Where every picture has to be decoded (JPEGs are kept, or nothing is),
    all cores but one, at the most 32. On a CPU a quarter of them: the model needs the rest.

    >>> num_workers(16, 1, 25_000, on_gpu=True, decodes=False), num_workers(2, 1, 25_000, True, False)
    (8, 0)
    """
    each = cores // num_ranks
    if each <= 2 or num_pictures < _FEW_PICTURES:
        return 0
    if not on_gpu:
        return each // 4
    return min(each - 1, _MOST_DECODING) if decodes else min(each // 2, _MOST_FROM_STORE)


def sharing_ranks(environment: Mapping[str, str]) -> int:
    """Return how many ranks share the cores of this process.

    Under srun a rank is a task with cores of its own; torchrun's ranks, and those that this program starts,
    share those of the process that started them.

    >>> sharing_ranks({"LOCAL_WORLD_SIZE": "4"}), sharing_ranks({"SLURM_NTASKS": "4"})
    (4, 1)
    """
    return int(environment.get("LOCAL_WORLD_SIZE", "1"))


def available_cores() -> int:
    """Return the cores that this process may use, at least one."""
    # Linux alone knows which cores a process is bound to.
    is_known = hasattr(os, "sched_getaffinity")
    allowed = len(os.sched_getaffinity(0)) if is_known else os.cpu_count() or 1
    return limited_cores(allowed, cpu_quotas(Path("/")), os.environ)


def limited_cores(allowed: int, quotas: Iterable[float], environment: Mapping[str, str]) -> int:
    """Return the whole cores that the tightest limit leaves, at least one.

    Args:
        allowed: cores that the scheduler may put this process on.
        quotas: cores' worth of time that control groups allow.
        environment: of this process; SLURM says there what a task has, and a sweep what a job has.

    >>> limited_cores(64, [7.5], {"SLURM_CPUS_PER_TASK": "16"})
    7
    """
    told = [int(environment[name]) for name in ("SLURM_CPUS_PER_TASK", SHARE) if name in environment]
    return max(1, int(min([allowed, *quotas, *told])))


def cpu_quotas(root: Path) -> list[float]:
    """Return how many cores' worth of time the control groups of this process allow, and those above them."""
    found = []
    for folder in _groups(root):
        # Of the second version, else of the first.
        limit = _read(folder / "cpu.max") or " ".join(
            _read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        )
        quota, _, period = limit.strip().partition(" ")
        # No limit is "max", or -1.
        if quota.isdigit() and period.isdigit():
            found.append(int(quota) / int(period))
    return found


def processor_name(root: Path = Path("/")) -> str:
    """Return the name of the CPU, or its architecture where /proc below `root` does not tell the name."""
    for line in _read(root / "proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, up to their mounts."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        # The second version has no list of controllers; of the first, only those of the CPU matter.
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # In a container the path may be that outside of it, and only the mount is there.
        folder = mount.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        while folder != mount:
            yield folder
            folder = folder.parent
        yield mount


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
