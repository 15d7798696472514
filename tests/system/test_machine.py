"""What of its machine a process may use: on drawn file systems, never on the one that runs the tests."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imageclf.system import machine
from imageclf.system.machine import (
    SHARE,
    Machine,
    available_cores,
    cpu_quotas,
    limited_cores,
    num_workers,
    processor_name,
    sharing_ranks,
)

GROUPS = "sys/fs/cgroup"
# Cores, ranks, pictures.
FEW = [(1, 1, 25_000), (2, 1, 25_000), (8, 4, 25_000), (64, 1, 999)]


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a root, as /proc and /sys have them."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_the_examples_hold():
    tried = doctest.testmod(machine)
    assert tried.attempted > 3 and tried.failed == 0


@pytest.mark.parametrize(
    ("files", "quotas"),
    [
        ({}, []),
        ({"proc/self/cgroup": "0::/\n"}, []),
        ({"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "400000 100000\n"}, [4.0]),
        ({"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "max 100000\n"}, []),
        ({"proc/self/cgroup": "0::/a/b\n", f"{GROUPS}/a/b/cpu.max": "150000 100000\n"}, [1.5]),
        # A limit of a group above holds as well.
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                f"{GROUPS}/a/b/cpu.max": "max 100000\n",
                f"{GROUPS}/a/cpu.max": "800000 100000\n",
                f"{GROUPS}/cpu.max": "300000 50000\n",
            },
            [8.0, 6.0],
        ),
        # In a container the path is one outside of it, and the limit is found at the mount.
        ({"proc/self/cgroup": "0::/../outside/job\n", f"{GROUPS}/cpu.max": "200000 100000\n"}, [2.0]),
    ],
)
def test_quotas_of_the_second_version_of_control_groups_are_found(tmp_path, files, quotas):
    assert cpu_quotas(write(tmp_path, files)) == quotas


@pytest.mark.parametrize(
    ("line", "folder", "quota", "quotas"),
    [
        ("4:cpu,cpuacct:/job", "cpu/job", "300000", [3.0]),
        ("4:cpu:/job/step", "cpu/job", "250000", [2.5]),
        ("4:cpu:/docker/0123", "cpu", "100000", [1.0]),
        ("4:cpu:/job", "cpu/job", "-1", []),
        ("4:cpuset:/job", "cpu/job", "300000", []),
        ("4:memory:/job", "cpu/job", "300000", []),
    ],
)
def test_quotas_of_the_first_version_of_control_groups_are_found(tmp_path, line, folder, quota, quotas):
    files = {
        "proc/self/cgroup": f"7:memory:/elsewhere\n{line}\n",
        f"{GROUPS}/{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{GROUPS}/{folder}/cpu.cfs_period_us": "100000\n",
    }
    assert cpu_quotas(write(tmp_path, files)) == quotas


@pytest.mark.parametrize(
    ("allowed", "quotas", "environment", "cores"),
    [
        (16, [], {}, 16),
        (16, [32.0], {}, 16),
        (16, [6.0, 4.0], {}, 4),
        (16, [7.9], {}, 7),
        (16, [0.5], {}, 1),
        (16, [], {"SLURM_CPUS_PER_TASK": "8"}, 8),
        (4, [], {"SLURM_CPUS_PER_TASK": "8"}, 4),
        (16, [], {SHARE: "5"}, 5),
        (16, [3.0], {SHARE: "5", "SLURM_CPUS_PER_TASK": "8"}, 3),
    ],
)
def test_the_tightest_limit_holds(allowed, quotas, environment, cores):
    assert limited_cores(allowed, quotas, environment) == cores


def test_a_process_that_is_bound_to_one_core_has_one():
    bound = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code = f"{bound}; from imageclf.system.machine import available_cores; print(available_cores())"
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system binds no process to cores")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_this_machine_has_cores():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [({}, 1), ({"LOCAL_WORLD_SIZE": "2"}, 2), ({"SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "8"}, 1)],
)
def test_ranks_share_cores_but_under_srun(environment, ranks):
    assert sharing_ranks(environment) == ranks


@pytest.mark.parametrize("on_gpu", [True, False])
@pytest.mark.parametrize("decodes", [True, False])
@pytest.mark.parametrize(("cores", "ranks", "pictures"), FEW)
def test_a_process_that_would_starve_and_a_small_set_have_no_workers(cores, ranks, pictures, on_gpu, decodes):
    assert num_workers(cores, ranks, pictures, on_gpu, decodes) == 0


@pytest.mark.parametrize(
    ("cores", "ranks", "on_gpu", "decodes", "workers"),
    [
        (16, 1, True, False, 8),
        (16, 1, True, True, 15),
        (16, 1, False, False, 4),
        (16, 1, False, True, 4),
        (64, 4, True, False, 8),
        (64, 4, True, True, 15),
        (3, 1, True, False, 1),
        (3, 1, True, True, 2),
        (3, 1, False, False, 0),
        (128, 1, True, False, 16),
        (128, 1, True, True, 32),
    ],
)
def test_the_workers_follow_from_the_cores_of_a_rank(cores, ranks, on_gpu, decodes, workers):
    assert num_workers(cores, ranks, 1000, on_gpu, decodes) == workers


@pytest.mark.parametrize("cores", range(3, 200))
def test_workers_leave_a_core_to_the_training_process(cores):
    assert all(num_workers(cores, 1, 10**6, gpu, decodes) < cores for gpu in (0, 1) for decodes in (0, 1))


def test_the_processor_is_named_as_the_system_names_it(tmp_path):
    cpuinfo = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Fine  Processor 9000\nprocessor\t: 1\n"
    assert processor_name(write(tmp_path, {"proc/cpuinfo": cpuinfo})) == "Fine Processor 9000"


def test_a_processor_without_a_name_is_its_architecture(tmp_path):
    assert processor_name(tmp_path) != ""


@pytest.mark.parametrize(
    ("exact", "workers", "words"),
    [
        (True, 0, "deterministic, no data workers"),
        (False, 1, "not deterministic, 1 data worker"),
        ("warn", 2, "deterministic where torch can, 2 data workers"),
    ],
)
def test_a_machine_is_described_in_a_line(exact, workers, words):
    assert Machine("cpu", "Box", "32-true", exact, workers).sentence == f"cpu (Box), 32-true, {words}"
