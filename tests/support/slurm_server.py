"""A real SLURM on this machine: munged, slurmctld, and a slurmd for each of two virtual nodes."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from processes import kill, processes_of, processes_with, wait_until

NODES = ("n1", "n2")
_HOSTS = Path("/etc/hosts")
_MUNGE_FOLDERS = ("/run/munge", "/var/log/munge", "/var/lib/munge", "/etc/munge")

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16917
AuthType=auth/munge
# How long a requeued job waits before it may start again; 120 s by default.
AuthInfo=cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmctldParameters=preempt_send_user_signal
# More CPUs than the machine may have.
SlurmdParameters=config_overrides
JobRequeue=1
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.txt
KillWait=30
SlurmdTimeout=10
MinJobAge=3000
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000"


def why_not() -> str | None:
    """Return why no SLURM can be started here, or None where it can."""
    missing = [name for name in ("sbatch", "slurmctld", "slurmd", "munged") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "SLURM's daemons need root"


@dataclass
class SlurmServer:
    """The running cluster; commands find it by SLURM_CONF.

    Args:
        folder: holds its configuration, state and logs.
    """

    folder: Path
    _daemons: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def start(self) -> None:
        """Start the daemons, and wait until both nodes are idle."""
        host = socket.gethostname().partition(".")[0]
        nodes = [_NODE.format(name=name, host=host, port=17101 + i) for i, name in enumerate(NODES)]
        (self.folder / "state").mkdir()
        text = _CONF.format(host=host, folder=self.folder, nodes="\n".join(nodes))
        (self.folder / "slurm.conf").write_text(text)
        self._start("slurmctld", "-c")
        for name in NODES:
            self.start_node(name)

    def start_node(self, name: str) -> None:
        """Start a node's daemon, and wait until the node is idle."""
        (self.folder / f"spool.{name}").mkdir(exist_ok=True)
        self._start("slurmd", "-N", name)
        wait_until(lambda: self.node_state(name) == "idle", f"{name} never came up", 60)

    def kill_node(self, name: str) -> None:
        """Kill a node's daemon and all that runs on the node, as a power cut does."""
        daemon = self._daemons.pop(name)
        for pid in self._processes(name):
            kill(pid)
        daemon.wait()

    def stop(self) -> None:
        """Cancel what runs, and end all daemons."""
        self.run("scancel", "--quiet", "--full", "--user=root", check=False)
        deadline = time.monotonic() + 20
        while self.run("squeue", "--noheader", check=False) and time.monotonic() < deadline:
            time.sleep(0.2)
        for name in [*self._daemons][::-1]:
            daemon = self._daemons.pop(name)
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in NODES:
            for pid in self._processes(name):
                kill(pid)

    def run(self, *command: str, check: bool = True, piped: str | None = None) -> str:
        """Return what a command of SLURM prints, to which a text may be piped."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            input=piped,
        )
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a shell on the login node."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def node_state(self, name: str) -> str:
        """Return a node's state, such as idle."""
        return self.run("sinfo", "--noheader", f"--nodes={name}", "--format=%t", check=False).split("\n")[0]

    def job(self, job_id: str) -> dict[str, str]:
        """Return what SLURM knows of a job, or of one of an array: JobState, ExitCode, Restarts, ..."""
        text = self.run("scontrol", "--oneliner", "show", "job", job_id)
        pairs = (word.partition("=") for word in text.split())
        return {name: value for name, _, value in pairs}

    def wait_for(self, job_id: str, *states: str, seconds: float = 120) -> None:
        """Wait until a job is in one of these states."""
        wait_until(
            lambda: self.job(job_id)["JobState"] in states,
            f"job {job_id} was not {' or '.join(states)} in time",
            seconds,
        )

    def _processes(self, name: str) -> list[int]:
        """Return the daemons of a node, and the processes of the jobs there."""
        ours = processes_with(f"SLURM_CONF={self.folder / 'slurm.conf'}")
        jobs = set(processes_with(f"SLURMD_NODENAME={name}")) & set(ours)
        return [*processes_of(self.folder / f"slurmd.{name}.log"), *jobs]

    def _start(self, daemon: str, *arguments: str) -> None:
        command = [daemon, "-D", *arguments]
        with (self.folder / f"{daemon}{''.join(arguments)}.out").open("ab") as log:
            self._daemons[arguments[-1]] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )


@contextmanager
def munge() -> Iterator[None]:
    """Run munged, unless one runs already."""
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
        yield
        return
    Path("/run/munge").mkdir(exist_ok=True)
    for folder in _MUNGE_FOLDERS:
        shutil.chown(folder, "munge", "munge")
    Path("/run/munge").chmod(0o755)
    command = ["su", "-s", "/bin/sh", "munge", "-c", "exec /usr/sbin/munged --foreground"]
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answers = ["munge", "-n"]
        wait_until(
            lambda: subprocess.run(answers, capture_output=True, check=False).returncode == 0, "no munged", 30
        )
        yield
    finally:
        pid = Path("/run/munge/munged.pid")
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
        daemon.wait(20)


def name_nodes() -> None:
    """Let the nodes' names resolve: the first one is the address where ranks meet."""
    text = _HOSTS.read_text()
    missing = [name for name in NODES if name not in text.split()]
    if missing:
        _HOSTS.write_text(f"{text.rstrip()}\n127.0.0.1 {' '.join(missing)}\n")


@contextmanager
def slurm(folder: Path) -> Iterator[SlurmServer]:
    """Run a SLURM whose files are all in a folder, and leave no process behind."""
    name_nodes()
    server = SlurmServer(folder)
    with munge():
        try:
            server.start()
            yield server
        finally:
            server.stop()
