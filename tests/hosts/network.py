"""Hosts on one wire, made of Linux network namespaces: each has an address and sees the others, until it is cut off.

A namespace has no name: it lives as long as the process that holds it, and that one ends when the tests' process does,
however it ends. With it go its interfaces and those of all others that are plugged into it, so nothing is ever left
behind. Needs root; ``refusal`` says what is missing.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

NEWNET: Final = 0x40000000
NEWUTS: Final = 0x04000000
ALL_FRAMES: Final = 0x0003
ETHTOOL: Final = 0x8946
NO_CHECKSUMS: Final = 0x17
"""Ask the system to fill in checksums before a frame leaves, as the one that reads it here cannot."""
DIE_WITH_PARENT: Final = 1
NETS: Final = 512
"""198.18.0.0/15, which is nobody's (RFC 2544), in pieces of 254 addresses."""


@cache
def refusal() -> str:
    """Why no hosts can be made here; "" where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts of their own need root on Linux"
    if missing := [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]:
        return f"hosts of their own need {' and '.join(missing)} (iproute2, util-linux)"
    try:
        with Network() as network:
            network.host("a")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine lets nobody make hosts: {error}"
    return ""


class Namespace:
    """An empty network; it is gone when ``end`` is called or this process is gone."""

    def __init__(self) -> None:
        # It holds the place until its input ends.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "sh", "-c", "echo here; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "here\n":
            self.end()
            raise OSError("no network namespace can be made")
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.ip("link set lo up")

    def ip(self, *lines: str) -> None:
        """Carry out lines of ``ip`` in it, all or an error."""
        said = subprocess.run(
            [*self.inside(), "ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False
        )
        if said.returncode:
            raise OSError(f"ip: {said.stderr.strip()}")

    def inside(self, *, with_it: bool = False) -> list[str]:
        """What comes before a command that is to run in it; ``with_it``: and whose daemons end when it does."""
        ends = [f"--pid=/proc/{self.pid}/ns/pid_for_children"] if with_it else []
        return ["nsenter", f"--net={self.path}", *ends]

    def end(self) -> None:
        """Give it up; whoever still runs in it keeps it, without the wire."""
        for stream in (self._holder.stdin, self._holder.stdout):
            if stream is not None:
                stream.close()
        self._holder.wait(30)


class Network:
    """A wire with this process (``address``) and its hosts on it. A context manager: at its end all of it is gone."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._switch = Namespace()
        self.interface = f"dj{os.getpid()}-{id(self) & 0xFFFF:x}"[:15]

    def __enter__(self) -> Self:
        try:
            self._plug_in()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Unplug and give up everything."""
        for host in self.hosts.values():
            host.end()
        self._switch.end()
        while os.path.exists(f"/sys/class/net/{self.interface}"):  # the system takes namespaces away when it has time
            with contextlib.suppress(OSError):
                _ip(f"link del {self.interface}")

    def _plug_in(self) -> None:
        self._switch.ip("link add wire type bridge", "link set wire type bridge stp_state 0", "link set wire up")
        _ip(f"link add {self.interface} address {_mac(1)} type veth peer name p1 netns {self._switch.pid}")
        self._switch.ip("link set p1 master wire", "link set p1 up")
        for n in range(os.getpid(), os.getpid() + NETS):
            self._net = f"198.{18 + n % NETS // 256}.{n % 256}"
            others = subprocess.run(["ip", "route", "show", f"{self._net}.0/24"], capture_output=True, text=True)
            if not others.stdout:
                break
        self.address = f"{self._net}.1"
        _ip(f"addr add {self.address}/24 dev {self.interface}", f"link set {self.interface} up")

    def host(self, name: str) -> Host:
        """Another host on the wire."""
        n = len(self.hosts) + 2
        made = self.hosts[name] = Host(name, f"{self._net}.{n}", n, self._switch)
        made.space.ip(
            f"link add eth0 address {_mac(n)} type veth peer name {made.port} netns {self._switch.pid}",
            f"addr add {made.address}/24 dev eth0",
            "link set eth0 up",
            f"neigh replace {self.address} lladdr {_mac(1)} dev eth0 nud permanent",
        )
        made.heal()
        _ip(f"neigh replace {made.address} lladdr {_mac(n)} dev {self.interface} nud permanent")
        for other in self.hosts.values():  # who is cut off then learns nothing of it, not even from the next neighbour
            for one, two in ((made, other), (other, made)) if other is not made else ():
                one.space.ip(f"neigh replace {two.address} lladdr {_mac(two.n)} dev eth0 nud permanent")
        return made


class Host:
    """A host: an address on the wire."""

    def __init__(self, name: str, address: str, n: int, switch: Namespace) -> None:
        self.name, self.address, self.n, self.port = name, address, n, f"p{n}"
        self.space = Namespace()
        self._switch = switch
        self._slowly: SlowWire | None = None

    def cut(self) -> None:
        """From now on every packet from and to it is lost without a word; connections are not told."""
        self._switch.ip(f"link set {self.port} nomaster")

    def heal(self) -> None:
        """Put it on the wire."""
        self._switch.ip(f"link set {self.port} master wire", f"link set {self.port} up")

    @contextlib.contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Every packet from and to it is so long on its way, in each direction."""
        self.cut()
        self._slowly = SlowWire(self._switch, self.space, self.port, delay_s)
        try:
            yield
        finally:
            self._slowly.end()
            self._slowly = None
            self.heal()

    def end(self) -> None:
        """Take it away."""
        if self._slowly is not None:
            self._slowly.end()
        self.space.end()


class SlowWire:
    """Carries frames between a port and the wire by hand, each so many seconds after it came.

    A process of its own kind of the kernel's ``netem``, which not every kernel has.
    """

    def __init__(self, switch: Namespace, host: Namespace, port: str, delay_s: float) -> None:
        self._switch, self._port, self._delay_s = switch, port, delay_s
        switch.ip(
            "link add slow type veth peer name far",
            "link set far master wire",
            "link set far up",
            "link set slow up",
        )
        with _within(switch):
            _fill_in_checksums("far")
            ends = [self._tap(name) for name in (port, "slow")]
        with _within(host):
            _fill_in_checksums("eth0")
        self._ends = ends
        self._over = False
        self._threads = [
            threading.Thread(target=self._carry, args=pair, daemon=True) for pair in (ends, list(reversed(ends)))
        ]
        for thread in self._threads:
            thread.start()

    def _tap(self, name: str) -> socket.socket:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
        tap.bind((name, ALL_FRAMES))
        return tap

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        under_way: deque[tuple[float, bytes]] = deque()
        while not self._over:
            wait_s = max(0.001, under_way[0][0] - time.monotonic()) if under_way else 0.2
            one.settimeout(wait_s)
            with contextlib.suppress(TimeoutError):
                frame, where = one.recvfrom(65_536)
                if where[2] != socket.PACKET_OUTGOING:
                    under_way.append((time.monotonic() + self._delay_s, frame))
            while under_way and under_way[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    other.send(under_way.popleft()[1])

    def end(self) -> None:
        """Stop carrying; what is under way is lost."""
        self._over = True
        for thread in self._threads:
            thread.join(10)
        for end in self._ends:
            end.close()
        self._switch.ip("link del slow")


def enter(path: str, *, name: str = "") -> None:
    """This thread is in that namespace from now on, and so is what it begins.

    ``name``: of the machine that it then is; it ends with the process that began it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as place:
        failed = libc.setns(place.fileno(), NEWNET)
    if failed or (name and libc.unshare(NEWUTS)):
        raise OSError(ctypes.get_errno(), f"cannot go to {path}")
    if name:
        socket.sethostname(name)
        libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)


@contextlib.contextmanager
def _within(space: Namespace) -> Iterator[None]:
    enter_again = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    with open(enter_again, "rb") as before:
        enter(space.path)
        try:
            yield
        finally:
            enter(f"/proc/self/fd/{before.fileno()}")


def _fill_in_checksums(name: str) -> None:
    wanted: Any = array.array("I", [NO_CHECKSUMS, 0])
    asked = struct.pack("16sP", name.encode(), wanted.buffer_info()[0])
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, ETHTOOL, asked)


def _ip(*lines: str) -> None:
    said = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False)
    if said.returncode:
        raise OSError(f"ip: {said.stderr.strip()}")


def _mac(n: int) -> str:
    return f"02:00:00:00:00:{n:02x}"
