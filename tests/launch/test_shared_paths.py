"""Which folders other nodes see."""

from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.launch.slurm.shared_paths import check_shared, file_system, why_local

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /dev/shm tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
scratch@tcp:/work /work lustre rw 0 0
/dev/sdb1 /work/local\\040disk xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/runs", "nfs4"),
        ("/homes", "ext4"),
        ("/work/data", "lustre"),
        ("/work/local disk/data", "xfs"),
        ("/", "ext4"),
    ],
)
def test_a_path_is_on_the_innermost_mount(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_the_mounts_of_this_machine_are_understood() -> None:
    assert file_system(Path("/proc/self"), Path("/proc/self/mounts").read_text()) == "proc"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/home/me", None),
        ("/work/data", None),
        ("/data", "on ext4"),
        ("/tmp/runs", "in /tmp"),
        ("/tmpfiles/nfs", "on ext4"),
        ("/dev/shm/x", "in /dev/shm"),
    ],
)
def test_what_makes_a_path_local_is_said(path: str, reason: str | None) -> None:
    assert why_local(Path(path), MOUNTS) == reason


def test_tmp_is_local_whatever_it_is_mounted_from() -> None:
    assert why_local(Path("/tmp/x"), "server:/tmp /tmp nfs4 rw 0 0") == "in /tmp"


@pytest.mark.fault(
    "Several processes and clusters",
    "A path of a job exists on this machine alone",
    "It is refused before the queue, with its key",
)
def test_a_local_path_is_refused_with_its_key_and_the_remedy() -> None:
    with pytest.raises(InputError, match=r"data.root=/srv/x is on ext4.*cluster.shared_paths=\[/srv/x\]"):
        check_shared({"data.root": Path("/srv/x")}, [], MOUNTS)


def test_the_folder_to_list_is_the_same_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_dir = tmp_path / "runs/train/2026-01-01_00-00-00-abcd/0"
    with pytest.raises(InputError) as refused:
        check_shared({"hydra.sweep.dir": run_dir}, [], "/dev/sda1 / ext4 rw 0 0")
    assert str(refused.value).endswith(f"cluster.shared_paths=[{tmp_path}]")
    check_shared({"hydra.sweep.dir": run_dir.with_name("1")}, [str(tmp_path)], "/dev/sda1 / ext4 rw 0 0")


@pytest.mark.parametrize("shared", ["/", "/srv", "/srv/x"])
def test_a_path_below_a_folder_that_is_called_shared_is_accepted(shared: str) -> None:
    check_shared({"data.root": Path("/srv/x")}, [shared], MOUNTS)


def test_a_folder_that_only_begins_alike_is_not_below() -> None:
    with pytest.raises(InputError, match=r"data\.root"):
        check_shared({"data.root": Path("/srv/xyz")}, ["/srv/x"], MOUNTS)
