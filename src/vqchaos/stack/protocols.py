"""The narrow protocols between faults and probes above and the adapters below.

A fault names the capabilities it needs; an adapter that lacks one says why. Everything here is
synchronous and bounded by a timeout of its own. All calls may raise ``StackError``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

from vqchaos.clock import Clock

if TYPE_CHECKING:
    from vqchaos.stack.container_protocols import ContainerControl, DaemonRef
    from vqchaos.stack.inventory import Inventory
    from vqchaos.stack.marked import StandIn


class Capability(StrEnum):
    """What a fault may need of a stack; ``what`` says it in words."""

    what: str

    def __new__(cls, value: str, what: str) -> Self:
        """A plain text, as StrEnum's, with its words."""
        made = str.__new__(cls, value)
        made._value_, made.what = value, what
        return made

    PROXY = "proxy", "a Toxiproxy that clients go through"
    PROCESSES = "processes", "the stack's processes can be found and signalled"
    STARTUP = "startup", "the server can be stopped and started otherwise"
    MODEL_FILES = "model_files", "the model's files can be read"
    MEMORY_LIMIT = "memory_limit", "a limit protects the host from the server"
    HOST = "host", "commands can be run on this machine"
    CONTAINERS = "containers", "the stack's containers can be found, stopped, paused and limited"
    REPLICA_LINKS = "replica_links", "that Toxiproxy is also between the router and each replica"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where clients and probes go. URLs have no trailing slash and no path such as /v1."""

    client_url: str  # through the proxy
    direct_url: str  # the server itself
    health_url: str
    metrics_url: str
    model: str  # the served model name
    headers: Mapping[str, str] = field(default_factory=dict)  # secrets: never in any artifact
    ca_file: str | None = None
    replica_header: str | None = None  # the response header that says which replica answered
    router_stats: str | None = None  # HAProxy's CSV
    named: Mapping[str, str] = field(default_factory=dict)  # where a workload may go instead


# ---------------------------------------------------------------- network


@dataclass(frozen=True, slots=True)
class Toxic:
    """A toxic of the proxy. ``attributes`` are integers, as Toxiproxy wants them."""

    name: str
    type: str
    stream: str  # upstream | downstream
    toxicity: float
    attributes: Mapping[str, int]


LinkName = Literal["client-router", "router-replica"]


@dataclass(frozen=True, slots=True)
class ProxyRef:
    """One proxy of the stack's Toxiproxy and where it stands. ``replica`` is the one it leads to,
    counted from 1; None on the way from clients to the router (or to the one server)."""

    name: str
    replica: int | None = None

    @property
    def link(self) -> LinkName:
        return "client-router" if self.replica is None else "router-replica"

    def __str__(self) -> str:
        if self.replica is None:
            return "clients → server"
        return f"router → replica {self.replica} ({self.name})"

    def toxic_name(self, toxic: Toxic) -> str:
        """As reports name it: toxics of two proxies may be called alike."""
        return toxic.name if self.replica is None else f"{toxic.name} on {self.name}"


Removal = Literal["removed", "absent", "recreated", "restarted"]


class ProxyControl(Protocol):
    """One Toxiproxy proxy. Implemented over toxiproxy-python in ``stack/toxiproxy.py``."""

    def toxics(self) -> list[Toxic]:
        """All toxics in force, ours and strangers'."""

    def add(self, toxic: Toxic) -> None:
        """Add it; attributes are checked before they reach the server, read back afterwards."""

    def remove(self, name: str) -> Removal:
        """Remove it, whatever that takes: where the removal hangs, the proxy is made anew with its
        other toxics, which cuts live connections; where that hangs too, Toxiproxy is restarted if
        it is the stack's own."""

    def revive(self) -> bool:
        """For an undo: a Toxiproxy whose API hangs is restarted if it is the stack's own, which
        leaves the proxy on and without toxics; True if it was. Raises StackError if it hangs and
        is somebody else's."""

    def enabled(self) -> bool: ...

    def set_enabled(self, enabled: bool) -> None:
        """Idempotent."""

    def exists(self) -> bool:
        """False if Toxiproxy is gone or has no such proxy (its state dies with it)."""

    def timed_connect(self, timeout: float) -> float | None:
        """Seconds of one small HTTP exchange through the proxy; None if it did not work. Raises
        StackError for a proxy that only the router reaches."""


# ---------------------------------------------------------------- processes


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process that cannot be mistaken for another: its PID and its creation time (Unix s).
    ``replica``: of which of the stack's servers, from 1."""

    pid: int
    start_time: float
    role: str
    group: int
    session: int
    title: str
    replica: int = 1


class ProcessControl(Protocol):
    """The stack's own processes, and no others."""

    def find(self, role: str) -> list[ProcessRef]:
        """Live processes of that role, below the current servers."""

    def status(self, ref: ProcessRef) -> Literal["running", "stopped", "gone"]:
        """`gone` also if the PID is another process by now, or a zombie."""

    def signal(self, ref: ProcessRef, signum: int) -> bool:
        """False if it is gone. Never signals a process whose start time differs."""


# ---------------------------------------------------------------- start-up of the server


@dataclass(frozen=True, slots=True)
class StartMark:
    """Whose a start is: the fault's ``vqchaos.RUN.N.DEADLINE``, its token, its type."""

    name: str
    token: str
    fault: str


@dataclass(frozen=True, slots=True)
class StartOverride:
    """How one start of the server differs from the clean one. ``mark`` is for what can carry it: a
    container, which outlives the ledger."""

    model: Path | None = None
    extra_args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mark: StartMark | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The latest start of the server. Moments are raw monotonic seconds.

    ``state``: stopped (on purpose), waiting (backing off before a restart), running, exited.
    ``clean``: started without an override. ``log``: the last lines of this attempt only.
    """

    generation: int
    state: Literal["stopped", "waiting", "running", "exited"]
    clean: bool
    pid: int | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    log: Sequence[str] = ()


class ServerControl(Protocol):
    """Stops and starts the server under test. The wish is kept on disk by the supervisor's
    launcher, so that it outlives vqchaos."""

    def own_url(self) -> str | None:
        """Where this server alone answers; None: at the stack's direct URL."""

    def listens_on(self) -> tuple[str, int]:
        """The server's own address (not the proxy's)."""

    def model_dir(self) -> Path:
        """The folder of the model that a clean start serves."""

    def memory_limit(self) -> int | None:
        """Bytes, or None when nothing protects the host."""

    def scratch(self, token: str) -> Path:
        """Where a fault may keep files: a path, not made yet, removed by its revert."""

    def stop(self, timeout: float = 30.0) -> None:
        """SIGTERM to the API server alone, SIGKILL to its group after 15 s; returns when every
        process of the group is gone. The supervisor does not start it again. Idempotent."""

    def start(self, override: StartOverride, *, restarts: bool = False) -> None:
        """Start once with the override (with ``restarts``: under the restart policy); returns
        when the process was launched."""

    def start_clean(self) -> None:
        """Start without any override, under the restart policy; returns when the process was
        launched. A clean server that already runs is left alone. Idempotent."""

    def is_up(self) -> bool:
        """False when the whole stack is down, supervisor and all: nothing can be started on it,
        and the next ``up`` starts clean."""

    def attempt(self) -> Attempt:
        """The latest start and what became of it."""

    def attempt_log(self) -> Sequence[str]:
        """The whole log of the latest start, bounded to its last megabytes: the line that names
        a cause is often far above the end."""


# ---------------------------------------------------------------- the stack


@dataclass(frozen=True, slots=True)
class DockerSource:
    """A daemon (``unix://…`` or ``tcp://…``), a Compose project on it, and service → role. With
    TLS, ``certs`` is the folder of ca.pem, cert.pem and key.pem, and ``verify`` whether the
    daemon's certificate must be right."""

    host: str
    project: str
    roles: Mapping[str, str]
    certs: str = ""
    verify: bool = False


@dataclass(frozen=True, slots=True)
class ProbeSources:
    """What the observer process needs to watch the stack's processes; JSON-able.

    ``events``: the launcher's JSON Lines file of exact starts and exits (see
    ``stack/local/launcher.py``), None where there is no launcher. ``docker``: where containers are
    watched.
    """

    events: str | None = None
    docker: DockerSource | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A leftover or residue: what kind (process, port, toxic, file, shared_memory, socket, …)."""

    kind: str
    name: str
    detail: str = ""


class Stack(Protocol):
    """A stack under test. It is also a ``faults.base.World``: what faults may touch."""

    @property
    def clock(self) -> Clock: ...

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def environment(self) -> str: ...

    @property
    def state_dir(self) -> Path:
        """Holds the lock, the ledger and the supervisor's state; 0700."""

    @property
    def endpoints(self) -> Endpoints: ...

    def missing(self) -> Mapping[Capability, str]:
        """The capabilities this stack lacks, each with the reason and how to get it."""

    def links(self) -> Sequence[ProxyRef]:
        """Every proxy that a fault may touch, the clients' first; empty without a Toxiproxy."""

    # Each raises CapabilityMissing where missing() names it.
    @property
    def proxy(self) -> ProxyControl:
        """The one that clients go through."""

    def proxy_called(self, name: str) -> ProxyControl:
        """By Toxiproxy's name of it, from ``links`` or from a ledger."""

    @property
    def processes(self) -> ProcessControl: ...

    @property
    def server(self) -> ServerControl:
        """The first replica's."""

    def server_of(self, replica: int) -> ServerControl:
        """From 1. Raises FaultError for one that the stack cannot have."""

    @property
    def containers(self) -> ContainerControl: ...

    def stand_ins(self) -> Sequence[StandIn]:
        """Containers of ours in the place of a server's own; none where a server's own start can
        be changed."""

    def daemon(self) -> DaemonRef | None:
        """The Docker daemon whose containers these are; None if it is no stack of containers, or
        the daemon has no name. Raises StackError if it does not answer."""

    def probe_sources(self) -> ProbeSources: ...

    def describe(self) -> dict[str, object]:
        """For stack.json: versions, model fingerprint, host facts, restart policy. No secrets."""

    def keep_logs(self, run: Path, since: float, redact: Callable[[str], str]) -> list[str]:
        """What its containers wrote since then (Unix seconds) into the run's ``logs/``: bounded,
        cleaned, redacted. Returns remarks on what was not kept. May raise OSError too."""

    def residue(self) -> list[Item]:
        """The stack's own that no live server needs: orphans, their shared memory, sockets."""

    def remove_residue(self) -> list[Item]:
        """Removes what ``residue`` names; returns what is still there."""

    def inventory(self, before: Inventory | None = None) -> Inventory:
        """What must be after a run as it was before. ``before`` spares reading files again that
        did not change since. A part that fails is a remark in it, never an error."""
