"""The narrow protocol between the container faults and Docker; see ``protocols``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class DaemonRef:
    """One Docker daemon: by its own ``id`` with its data folder, which outlive its restarts, and
    by the ``host`` (as DOCKER_HOST has it) where it was reached."""

    id: str
    host: str


@dataclass(frozen=True, slots=True)
class ContainerRef:
    """One container of the stack. ``id`` is Docker's full one, which survives restarts and dies
    with a recreation; ``replica`` counts from 1 within its role (server, router, proxy)."""

    id: str
    name: str
    role: str
    service: str
    replica: int


ContainerStatus = Literal["created", "running", "paused", "restarting", "exited", "dead", "gone"]


@dataclass(frozen=True, slots=True)
class ContainerState:
    """``started`` of the latest start, Unix seconds; ``restarts`` counts the restart policy's;
    ``health`` is its health check's word (starting, healthy, unhealthy), None without a check;
    ``pid`` its first process as this machine numbers it, None while it does not run."""

    status: ContainerStatus
    started: float | None = None
    pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    health: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's place on a network, which Docker forgets on a disconnect. An address that
    Docker chose is None; a link is ``container:alias``."""

    network: str
    aliases: Sequence[str]
    ipv4: str | None = None
    ipv6: str | None = None
    links: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and CPUs; None is no limit. ``swap`` is memory and swap together, as in Docker."""

    memory: int | None = None
    swap: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a container's cgroup says, bytes. ``oom_kills`` counts kills in it since its start."""

    usage: int
    limit: int | None
    oom_kills: int


class ContainerControl(Protocol):
    """The stack's own containers, found by Compose's labels and never by name. Every call has a
    timeout and is idempotent where Docker's own is not. A container that is gone is a StackError,
    but for ``state``, which says so."""

    def find(self, role: str) -> list[ContainerRef]:
        """Containers of that role, running or not, by replica."""

    def state(self, ref: ContainerRef) -> ContainerState: ...

    def crash(self, ref: ContainerRef) -> None:
        """SIGKILL to its first process, not by Docker's kill: that suppresses the restart policy
        (moby#33306). CapabilityMissing where the daemon is elsewhere and there is no init."""

    def kill(self, ref: ContainerRef, signum: int) -> None:
        """Docker's own kill: the restart policy will not act. Nothing if it does not run."""

    def stop(self, ref: ContainerRef, grace: float) -> None:
        """SIGTERM, SIGKILL after ``grace`` seconds; the restart policy does not act."""

    def start(self, ref: ContainerRef) -> None:
        """Nothing if it runs already. Raises StackError with Docker's words if it cannot."""

    def restart(self, ref: ContainerRef, grace: float) -> None: ...

    def pause(self, ref: ContainerRef) -> None: ...

    def unpause(self, ref: ContainerRef) -> None: ...

    def attachments(self, ref: ContainerRef) -> list[Attachment]: ...

    def disconnect(self, ref: ContainerRef, network: str) -> None: ...

    def connect(self, ref: ContainerRef, attachment: Attachment) -> None:
        """With its aliases. Nothing if it is connected with them already."""

    def limits(self, ref: ContainerRef) -> Limits: ...

    def set_limits(self, ref: ContainerRef, limits: Limits) -> None:
        """Raises StackError if the kernel refuses (a memory limit below the usage on cgroup v1)."""

    def memory(self, ref: ContainerRef) -> MemoryUse:
        """Raises CapabilityMissing where the daemon is on another machine."""

    def ooms(self, ref: ContainerRef, since: float) -> int:
        """Docker's own OOM events since then (Unix seconds): they outlive the cgroup's counter."""

    def signalled(self, ref: ContainerRef, within: float) -> bool:
        """Has Docker sent it a signal in the last ``within`` seconds, since its latest start? A
        stop begins so, and goes on without whoever asked for it."""

    def run_inside(
        self, ref: ContainerRef, command: Sequence[str], timeout: float, env: Mapping[str, str]
    ) -> tuple[int, str]:
        """Exit code and output, cut to 64 KiB. After ``timeout`` what runs inside is killed and a
        StackError raised: Docker's exec has no timeout of its own."""

    def start_inside(
        self, ref: ContainerRef, command: Sequence[str], env: Mapping[str, str]
    ) -> None:
        """Start and leave it running; ``env`` carries a fault's mark, ``VQCHAOS_TOKEN``."""

    def end_inside(self, ref: ContainerRef, token: str) -> int:
        """Kill what carries that ``VQCHAOS_TOKEN``; how many. StackError if one lives on."""
