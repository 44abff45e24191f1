"""What every fault is: frozen settings, and five steps that keep no state of their own.

A fault's life: ``capture`` → ledger → ``inject`` → ``verify`` → ``revert`` → ``verify_undone``.
``capture`` looks at the world and returns the state that the undo will need, as JSON: what was
enabled, which processes, a token for anything that will be created. ``revert`` and
``verify_undone`` are class methods: they get that state back from the ledger, maybe in another
process after a crash, and otherwise look only at the world. ``revert`` is idempotent, works when
``inject`` never ran or failed half-way, and counts a target that is gone as undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field

from vqchaos.clock import Clock
from vqchaos.errors import FaultError, StackDown
from vqchaos.faults._replica import AnyServer, ServerTarget
from vqchaos.stack.container_protocols import ContainerControl, DaemonRef
from vqchaos.stack.marked import Marked, StandIn
from vqchaos.stack.protocols import (
    Capability,
    ProcessControl,
    ProxyControl,
    ProxyRef,
    ServerControl,
    StartMark,
    StartOverride,
)
from vqchaos.units import Duration

State = dict[str, Any]


class World(Protocol):
    """What a fault may touch. A ``Stack`` is one; so is the tests' fake."""

    @property
    def clock(self) -> Clock: ...

    @property
    def proxy(self) -> ProxyControl: ...

    def links(self) -> Sequence[ProxyRef]: ...

    def proxy_called(self, name: str) -> ProxyControl: ...

    @property
    def processes(self) -> ProcessControl: ...

    @property
    def server(self) -> ServerControl: ...

    def server_of(self, replica: int) -> ServerControl: ...

    @property
    def containers(self) -> ContainerControl: ...

    def daemon(self) -> DaemonRef | None: ...


@dataclass(frozen=True, slots=True)
class Ticket:
    """What ``capture`` may build names from: whose fault this is and how long it may stay.

    ``token`` is unique to this entry (``[a-z0-9]{8}``). ``mark`` is the name for things that can
    carry one: ``vqchaos.RUN.N.DEADLINE``.
    """

    run: str
    number: int
    token: str
    deadline_wall: float
    seed: int

    @property
    def mark(self) -> str:
        return f"vqchaos.{self.run}.{self.number}.{int(self.deadline_wall)}"


@dataclass(frozen=True, slots=True)
class Verification:
    """Did it take hold (or: is it undone)? ``none`` means there is no way to tell."""

    answer: Literal["yes", "no", "none"]
    why: str = ""


class Fault(BaseModel):
    """Base of all fault settings; one subclass a file, registered in ``faults/__init__``.

    Class facts: ``held`` — stays until reverted (latency) or instant (a kill); ``startup`` — acts
    on the next start of the server; ``needs`` — capabilities; ``summary`` — one line for the
    catalogue; ``graceful`` — what a good stack does under it; ``undo`` — what the revert
    does, for the plan and the catalogue; ``cuts_streams`` — instant harm to
    live requests, so the runner waits for one to be streaming before it injects.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)

    held: ClassVar[bool]
    startup: ClassVar[bool] = False
    cuts_streams: ClassVar[bool] = False
    family: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]
    summary: ClassVar[str]
    graceful: ClassVar[str]
    undo: ClassVar[str]
    revert_timeout: ClassVar[float] = 30.0

    type: str
    name: str | None = Field(default=None, description="How reports call it; default its type")
    at: Duration = Field(default=0.0, description="Start, after the fault phase began")
    for_: Annotated[
        Duration | None, Field(alias="for", description="Ends a held fault before the phase does")
    ] = None
    every: Annotated[
        Duration | None,
        Field(description="Repeats it until the fault phase ends; from one start to the next"),
    ] = None

    @property
    def is_held(self) -> bool:
        """As ``held``, unless the settings decide (``command``)."""
        return self.held

    def needed(self) -> frozenset[Capability]:
        """As ``needs``, unless the settings ask for more."""
        return self.needs

    def longest(self) -> float:
        """Seconds that its inject, verify and undo may take together, beside the phases."""
        return 2 * self.revert_timeout

    @classmethod
    def undo_limit(cls, state: State) -> float:
        """Seconds that the revert of this very state may take, and its verification again."""
        return cls.revert_timeout

    def target_name(self) -> str | None:
        """What it hits, for the plan, the ledger and the report."""
        return getattr(self, "target", None)

    def targets(self, world: World) -> list[str]:
        """What it would hit on the live stack, each by name; empty where the stack has only one
        such thing. Touches nothing. Raises FaultError if nothing matches."""
        return []

    def plan(self, world: World) -> list[str]:
        """Resolves the targets on the live stack and says each step with its undo, a line each.
        Touches nothing. Raises FaultError if a target matches nothing."""
        raise NotImplementedError

    def capture(self, world: World, ticket: Ticket) -> State:
        """The state before, JSON-able; with what the undo needs. Touches nothing."""
        raise NotImplementedError

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        """Do it. Calls ``effect()`` right before the call that clients feel."""
        raise NotImplementedError

    def verify(self, world: World, state: State) -> Verification:
        """Has it taken hold?"""
        raise NotImplementedError

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        """Undo it, from any process, any number of times; returns a note, often empty."""
        raise NotImplementedError

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        """Is the world as before?"""
        raise NotImplementedError

    @classmethod
    def from_mark(cls, thing: Marked) -> State | None:
        """The state that undoes the fault of this type which left that in the world; None if it is
        of another type. For a run whose ledger is lost."""
        return None

    @classmethod
    def manual(cls, state: State) -> list[str]:
        """What a person does when revert cannot: one command or sentence a line."""
        return []


class StartupFault(Fault):
    """A fault of the next start. ``inject`` stops the server, applies, starts it; ``revert``
    unapplies and starts it clean. Subclasses say how in four small methods."""

    held: ClassVar[bool] = True
    startup: ClassVar[bool] = True
    family: ClassVar[str] = "start-up"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.STARTUP})
    revert_timeout: ClassVar[float] = 120.0  # more than its parts: stop, unapply, start
    causes: ClassVar[tuple[str, ...]] = ()  # regexes; a log line that matches names the cause

    target: AnyServer = Field(
        default=ServerTarget(), description="server, or {role: server, replica: a number from 1}"
    )

    def target_name(self) -> str | None:
        return str(self.target)

    @property
    def whom(self) -> str:
        """The target, for a line of the plan."""
        return "the server" if self.target.replica == 1 else str(self.target)

    def server(self, world: World) -> ServerControl:
        """The one whose start is broken."""
        return world.server_of(self.target.replica)

    def capture(self, world: World, ticket: Ticket) -> State:
        whose = {"token": ticket.token, "mark": ticket.mark, "replica": self.target.replica}
        return {**whose, **self.before(world, ticket)}

    def before(self, world: World, ticket: Ticket) -> State:
        """What its ``unapply`` needs beside the token. Touches nothing."""
        raise NotImplementedError

    def targets(self, world: World) -> list[str]:
        """None to choose from. Asked in preflight and again right before the capture: that a server
        which is asked at an address of its own has one, and that it runs by itself."""
        server = self.server(world)
        if server.own_url() is None:
            return []  # asked where clients are, who got a token in preflight
        attempt = server.attempt()
        if not attempt.clean:
            raise FaultError(
                "another container stands in for the server: a start-up fault is still in force",
                hint="`vqchaos heal`; or `docker rm -f` what is called NAME-vqchaos, and "
                "`docker start NAME`",
            )
        if attempt.state != "running":
            raise FaultError(
                f"the server's own container does not run ({attempt.state}): its start cannot be "
                "broken",
                hint="`docker start` it, or `vqchaos up`",
            )
        return []

    def prepare(self, world: World, state: State) -> None:
        """Make what is needed while the server still serves (a copy of the model)."""

    def apply(self, world: World, state: State) -> StartOverride:
        """After the stop: take the port, …; returns the override of the start."""
        raise NotImplementedError

    def applied(self, world: World, state: State) -> Verification:
        """Is what ``apply`` made there?"""
        raise NotImplementedError

    @classmethod
    def unapply(cls, world: World, state: State) -> str:
        """Undo ``prepare`` and ``apply``; idempotent; note as in ``revert``."""
        raise NotImplementedError

    @classmethod
    def unapplied(cls, world: World, state: State) -> Verification:
        raise NotImplementedError

    def expected_causes(self) -> tuple[str, ...]:
        """Regexes of log lines that name the cause of the refusal."""
        return self.causes

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        self.prepare(world, state)
        effect()
        server = self.server(world)  # one for both: it knows its place from its first look
        server.stop()
        mark = StartMark(state["mark"], state["token"], self.type)
        override = replace(self.apply(world, state), mark=mark)
        server.start(override, restarts=bool(state.get("restarts", False)))

    def verify(self, world: World, state: State) -> Verification:
        attempt = self.server(world).attempt()
        if attempt.clean or attempt.started is None:
            return Verification("no", "the server was not started with the fault")
        return self.applied(world, state)

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        server = _server_of(world, state)
        if server is None:
            note = cls.unapply(world, state)
            return "; ".join(filter(None, [note, "the stack is down: `up` starts it clean"]))
        attempt = server.attempt()
        if not attempt.clean and attempt.state in ("running", "waiting"):
            server.stop()
        try:
            return cls.unapply(world, state)
        finally:  # what cannot be cleaned up does not keep the service down
            if server.is_up():  # somebody may have taken it away under the fault
                server.start_clean()

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        server = _server_of(world, state)
        if server is None:
            return cls.unapplied(world, state)
        attempt = server.attempt()
        if not attempt.clean or attempt.state in ("stopped", "exited"):
            return Verification("no", f"the server is {attempt.state}, clean: {attempt.clean}")
        return cls.unapplied(world, state)

    @classmethod
    def from_mark(cls, thing: Marked) -> State | None:
        named = get_args(cls.model_fields["type"].annotation)
        if not isinstance(thing, StandIn) or thing.fault not in named:
            return None
        return {"token": thing.token, "scratch": thing.scratch, "replica": thing.replica}


def _server_of(world: World, state: State) -> ServerControl | None:
    """None if the stack is down, after a `down --force` or a reboot. That it is out of reach, as
    where DOCKER_HOST names a daemon elsewhere, is another matter, and raises. An entry without a
    replica is of a version that broke the first one only."""
    try:
        server = world.server_of(int(state.get("replica", 1)))
    except StackDown:
        return None
    return server if server.is_up() else None


def require_few(fault: Fault, world: World, most: int) -> None:
    """Raises FaultError if the fault would hit nothing, or more than ``max_targets`` allows."""
    found = fault.targets(world)
    if len(found) > most:
        raise FaultError(
            f"{len(found)} targets match and max_targets is {most}: {', '.join(found)}",
            hint=f"`max_targets: {len(found)}` in the experiment allows it",
        )
