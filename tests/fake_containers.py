"""``ContainerControl`` in memory, with Docker's ways: a restart policy that acts on a crash and not
on a kill, aliases that a disconnect forgets, a counter of OOM kills that a new start resets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vqchaos.errors import StackError
from vqchaos.stack.container_protocols import (
    Attachment,
    ContainerRef,
    ContainerState,
    ContainerStatus,
    Limits,
    MemoryUse,
)

if TYPE_CHECKING:
    from tests.fakes import FakeWorld

MIB = 1024**2
RESOLV_CONF = "nameserver 127.0.0.11\noptions ndots:0\n"


@dataclass
class FakeContainer:
    """One of them. ``inside``: the tokens of what was started in it."""

    ref: ContainerRef
    status: ContainerStatus = "running"
    started: float = 1.0
    restarts: int = 0
    exit_code: int | None = None
    policy: bool = True  # restart: always
    networks: list[Attachment] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    usage: int = 100 * MIB
    oom_kills: int = 0
    oom_moments: list[float] = field(default_factory=list)
    resolv_conf: str = RESOLV_CONF
    signals: list[float] = field(default_factory=list)  # when Docker sent one, by the clock
    ends_at: float | None = None  # a stop under way is over then, by the clock
    inside: list[str] = field(default_factory=list)


class FakeContainers:
    """Two servers and a router at first. ``immortal``: whatever would end one does nothing;
    ``dies_of_oom``: an OOM kill ends the whole container."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self.table: dict[str, FakeContainer] = {}
        self.immortal = False
        self.dies_of_oom = False
        self.commands: list[Sequence[str]] = []
        self._starts = 1.0
        for number, (role, replica) in enumerate((("server", 1), ("server", 2), ("router", 1))):
            name = f"shop-{role}-{replica}"
            ref = ContainerRef(f"{number:064x}", name, role, role, replica)
            place = Attachment("shop_default", (role, name))
            self.table[ref.id] = FakeContainer(ref, networks=[place])

    def one(self, role: str = "server", replica: int = 1) -> FakeContainer:
        """For tests; no call."""
        return next(
            c for c in self.table.values() if (c.ref.role, c.ref.replica) == (role, replica)
        )

    def die(self) -> None:
        """All were removed."""
        self.table.clear()

    def snapshot(self) -> dict[str, Any]:
        """All that a fault may change and must put back; no call."""
        return {
            c.ref.name: (c.status, c.networks, c.limits, c.resolv_conf, tuple(c.inside))
            for c in self.table.values()
        }

    # ------------------------------------------------------------ the protocol

    def find(self, role: str) -> list[ContainerRef]:
        with self._world.call("containers.find"):
            return [c.ref for c in self.table.values() if c.ref.role == role]

    def state(self, ref: ContainerRef) -> ContainerState:
        with self._world.call("containers.state"):
            c = self.table.get(ref.id)
            if c is not None and c.ends_at is not None and self._world.clock.now() >= c.ends_at:
                c.ends_at = None
                self.end(c, 137, wanted=True)
            if c is None:
                return ContainerState("gone")
            pid = 4000 if c.status in ("running", "paused") else None
            return ContainerState(c.status, c.started, pid, c.restarts, c.exit_code)

    def crash(self, ref: ContainerRef) -> None:
        with self._doing("crash", ref) as c:
            if c.status != "running":
                raise StackError(f"{ref.name} is {c.status}: it cannot crash")
            if not self.immortal:
                self.end(c, 137, wanted=False)

    def kill(self, ref: ContainerRef, signum: int) -> None:
        with self._doing("kill", ref) as c:
            if c.status in ("running", "paused") and not self.immortal:
                self.end(c, 128 + signum, wanted=True)

    def stop(self, ref: ContainerRef, grace: float) -> None:
        with self._doing("stop", ref) as c:
            c.signals.append(self._world.clock.now())
            if c.status in ("running", "paused", "restarting") and not self.immortal:
                self.end(c, 0, wanted=True)

    def start(self, ref: ContainerRef) -> None:
        with self._doing("start", ref) as c:
            if c.status in ("created", "exited"):
                self._begin(c)

    def restart(self, ref: ContainerRef, grace: float) -> None:
        with self._doing("restart", ref) as c:
            if not self.immortal:
                self.end(c, 0, wanted=True)
                self._begin(c)

    def pause(self, ref: ContainerRef) -> None:
        with self._doing("pause", ref) as c:
            if c.status not in ("running", "paused"):
                raise StackError(f"{ref.name}: Docker said no (409): is not running")
            if not self.immortal:
                c.status = "paused"

    def unpause(self, ref: ContainerRef) -> None:
        with self._doing("unpause", ref) as c:
            if c.status == "paused":
                c.status = "running"

    def attachments(self, ref: ContainerRef) -> list[Attachment]:
        with self._world.call("containers.attachments"):
            return list(self._there(ref).networks)

    def disconnect(self, ref: ContainerRef, network: str) -> None:
        with self._doing("disconnect", ref) as c:
            if not self.immortal:
                c.networks = [place for place in c.networks if place.network != network]

    def connect(self, ref: ContainerRef, attachment: Attachment) -> None:
        with self._doing("connect", ref) as c:
            others = [place for place in c.networks if place.network != attachment.network]
            place = replace(  # a ledger's lists, as they were
                attachment, aliases=tuple(attachment.aliases), links=tuple(attachment.links)
            )
            c.networks = [*others, place]

    def limits(self, ref: ContainerRef) -> Limits:
        with self._world.call("containers.limits"):
            return self._there(ref).limits

    def set_limits(self, ref: ContainerRef, limits: Limits) -> None:
        with self._doing("set_limits", ref) as c:
            if limits.memory is not None and limits.memory < c.usage:
                raise StackError(f"{ref.name}: unable to set memory limit to {limits.memory}")
            c.limits = limits

    def memory(self, ref: ContainerRef) -> MemoryUse:
        with self._world.call("containers.memory"):
            c = self._running(ref)
            return MemoryUse(c.usage, c.limits.memory, c.oom_kills)

    def ooms(self, ref: ContainerRef, since: float) -> int:
        with self._world.call("containers.ooms"):
            c = self.table.get(ref.id)
            return 0 if c is None else len([t for t in c.oom_moments if t >= since])

    def signalled(self, ref: ContainerRef, within: float) -> bool:
        with self._world.call("containers.signalled"):
            since = self._world.clock.now() - within
            return any(sent >= since for sent in self._there(ref).signals)

    def run_inside(
        self, ref: ContainerRef, command: Sequence[str], timeout: float, env: Mapping[str, str]
    ) -> tuple[int, str]:
        writes = "VQCHAOS_TEXT" in env
        with self._world.call("containers.run_inside", mutates=writes):
            c = self._running(ref)
            self.commands.append(command)
            if writes:
                c.resolv_conf = env["VQCHAOS_TEXT"]
                return 0, ""
            return 0, c.resolv_conf

    def start_inside(
        self, ref: ContainerRef, command: Sequence[str], env: Mapping[str, str]
    ) -> None:
        with self._world.call("containers.start_inside", mutates=True):
            c = self._running(ref)
            self.commands.append(command)
            c.inside.append(env["VQCHAOS_TOKEN"])
            if c.limits.memory is not None and not self.immortal:
                c.oom_kills += 1
                c.oom_moments.append(self._world.clock.wall())
                if self.dies_of_oom:
                    self.end(c, 137, wanted=False)

    def end_inside(self, ref: ContainerRef, token: str) -> int:
        with self._doing("end_inside", ref) as c:
            ended = c.inside.count(token)
            c.inside = [other for other in c.inside if other != token]
            return ended

    # ------------------------------------------------------------ inside

    def end(self, c: FakeContainer, code: int, *, wanted: bool) -> None:
        """It has ended; the restart policy acts unless somebody wanted that."""
        c.status, c.exit_code, c.inside = "exited", code, []
        if c.policy and not wanted:
            c.restarts += 1
            self._begin(c)

    def _begin(self, c: FakeContainer) -> None:
        self._starts += 1
        c.status, c.started, c.exit_code, c.signals = "running", self._starts, None, []
        c.oom_kills, c.resolv_conf = 0, RESOLV_CONF

    def _there(self, ref: ContainerRef) -> FakeContainer:
        c = self.table.get(ref.id)
        if c is None:
            raise StackError(f"the container {ref.name} is gone: somebody removed it")
        return c

    def _running(self, ref: ContainerRef) -> FakeContainer:
        c = self._there(ref)
        if c.status != "running":
            raise StackError(f"{ref.name}: Docker said no (409): is {c.status}")
        return c

    @contextmanager
    def _doing(self, name: str, ref: ContainerRef) -> Iterator[FakeContainer]:
        with self._world.call(f"containers.{name}", mutates=True):
            yield self._there(ref)
