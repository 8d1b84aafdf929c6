"""A network namespace with a cable to this machine: what is in it reaches the tests and nothing else."""

import contextlib
import fcntl
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCK = Path("/run/lock/discern-testbed")
ADDRESSES = ipaddress.ip_network("10.89.0.0/16")
"""Cut into cables of four addresses: network, this machine, the namespace, broadcast."""
NAME = "discern"


def why_not() -> str | None:
    """Say why there can be no namespace here; None where there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if not (shutil.which("ip") and shutil.which("setpriv")):
        return "no ip here (apt-get install iproute2)"
    return None


@dataclass(frozen=True, slots=True)
class Network:
    """One namespace. ``here`` is this machine's end of the cable, ``there`` the namespace's."""

    name: str
    here: str
    there: str

    def start(self, *command: str, log: Path, user: str | None = None) -> subprocess.Popen[bytes]:
        """Start a command in the namespace; it is killed with the thread that started it, and its id is its own.

        Its output goes to the end of ``log``; ``user`` runs it as somebody else.
        """
        whom = ("--reuid", user, "--regid", user, "--init-groups") if user else ()
        with log.open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.name]
                + (["setpriv", "--pdeathsig", "KILL", *whom] if user else [])
                + list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
            )


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make a namespace and its cable; both are gone afterwards, and so are those of test runs that were killed."""
    with _locked():
        _remove_stale()
        cable = next(each for each in ADDRESSES.subnets(new_prefix=30) if each not in _taken())
        here, there = (str(each) for each in cable.hosts())
        number = int(cable.network_address) - int(ADDRESSES.network_address)
        made = Network(f"{NAME}-{os.getpid()}-{number}", here, there)
        outer, inner = f"dx{number}h", f"dx{number}n"
        _ip("netns", "add", made.name)
        try:
            _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", made.name)
            _ip("address", "add", f"{here}/30", "dev", outer)
            _ip("link", "set", outer, "up")
            _ip("-n", made.name, "address", "add", f"{there}/30", "dev", inner)
            _ip("-n", made.name, "link", "set", inner, "up")
            _ip("-n", made.name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            _ip("netns", "delete", made.name)
            raise
    try:
        yield made
    finally:
        # The cable ends with the namespace, and the namespace with the last process in it.
        _ip("link", "delete", outer)
        _ip("netns", "delete", made.name)


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of a few bytes on a folder; `resize_disk` changes its size."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked():
        _remove_stale()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", f"{NAME}-{os.getpid()}-disk", str(folder)],
            check=True,
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize_disk(folder: Path, size_bytes: int) -> None:
    """Give a `small_disk` another size."""
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", str(folder)], check=True)


def _ip(*arguments: str) -> str:
    """Run ip."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one test run at a time choose addresses."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _taken() -> set[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The cables in use."""
    found = (line.split()[3] for line in _ip("-4", "-o", "address", "show").splitlines())
    return {ipaddress.ip_interface(each).network for each in found}


def _remove_stale() -> None:
    """Remove what test runs left that no longer exist."""
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0]
        if _is_stale(name):
            _ip("netns", "delete", name)
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        source, folder = line.split()[:2]
        if _is_stale(source):
            subprocess.run(["umount", "--lazy", folder], check=False)


def _is_stale(name: str) -> bool:
    """Whether something of ours belongs to no living process."""
    owner, _, process = name.rpartition("-")[0].rpartition("-")
    return owner == NAME and process.isdecimal() and not Path(f"/proc/{process}").exists()
