"""What each of a sweep's jobs may use of the machine."""

import os
from pathlib import Path

import pytest
import torch

from imageclf import InputError
from imageclf.launch.pool import open_pool
from imageclf.launch.shares import Share, split_machine
from imageclf.system.machine import limited_cores
from imageclf.system.processes import fork_server


@pytest.mark.parametrize(
    ("n_jobs", "gpus", "per_job", "expected"),
    [
        (None, "", 1, [""]),
        (None, "", 2, [""]),
        (None, "0123", 1, ["0", "1", "2", "3"]),
        (None, "0123", 2, ["01", "23"]),
        (None, "012", 2, ["012"]),
        (None, "0", 2, ["0"]),
        (1, "0123", 1, ["0123"]),
        (2, "0123", 1, ["01", "23"]),
        (2, "57", 1, ["5", "7"]),
        (4, "01", 1, ["0", "1", "0", "1"]),
        (3, "", 1, ["", "", ""]),
    ],
)
def test_each_job_gets_gpus_of_its_own(n_jobs, gpus, per_job, expected):
    shares = split_machine(n_jobs, list(gpus), per_job, threads=8, cores=8)
    assert ["".join(share.gpus) for share in shares] == expected


@pytest.mark.parametrize(("n_jobs", "threads", "each"), [(1, 8, None), (2, 8, 4), (3, 8, 2), (4, 2, 1)])
def test_threads_and_cores_are_dealt_out_among_jobs_that_run_at_a_time(n_jobs, threads, each):
    assert {share.threads for share in split_machine(n_jobs, [], 1, threads, cores=1)} == {each}
    assert {share.cores for share in split_machine(n_jobs, [], 1, 1, cores=threads)} == {each}


@pytest.mark.parametrize(("n_jobs", "named"), [(0, "n_jobs=0"), (-1, "n_jobs=-1"), (3, "take 6 GPUs")])
def test_a_number_of_jobs_that_cannot_be_is_refused(n_jobs, named):
    with pytest.raises(InputError, match=named):
        split_machine(n_jobs, list("0123"), 2, threads=8, cores=8)


def test_a_share_is_set_by_the_variables_that_cuda_and_openmp_read():
    environment = Share(("5", "7"), 4, None).environment
    assert environment == {"CUDA_VISIBLE_DEVICES": "5,7", "OMP_NUM_THREADS": "4"}
    assert Share((), None, None).environment == {}


def test_the_workers_of_a_job_are_counted_by_its_share_of_the_cores():
    assert limited_cores(64, [], Share((), None, 6).environment) == 6


def report() -> tuple[dict[str, str | None], str, int, bool]:
    """Return what a process sees of its share and of its parent."""
    environment = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "SET_LATE")}
    return environment, str(Path.cwd()), torch.get_num_threads(), torch.cuda.is_initialized()


@pytest.mark.long
def test_a_process_of_the_fork_server_takes_over_its_share_and_the_parents_surroundings(
    tmp_path, monkeypatch
):
    fork_server()
    # After the server has started, which therefore knows nothing of it.
    monkeypatch.setenv("SET_LATE", "yes")
    monkeypatch.chdir(tmp_path)
    with open_pool() as pool:
        pool.start(0, report, **Share(("1",), 3, None).environment)
        environment, folder, threads, touched = pool.wait()[0]
    assert environment == {"CUDA_VISIBLE_DEVICES": "1", "SET_LATE": "yes"}
    assert (folder, threads, touched) == (str(tmp_path), 3, False)
