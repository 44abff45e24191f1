"""The event types of a history.

Every event has ``t``: seconds since the run's start on the monotonic clock, the moment it became
known. All other moments in events are on the same scale; ``None`` means "it never happened". An
event is one JSON object on one line, its ``type`` the name in ``TYPES``. Readers ignore unknown
types and unknown keys.

Phases, in order: warmup, baseline, fault, recovery, settle. A quiet canary lies between phases.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

SCHEMA = 1
PHASES = ("warmup", "baseline", "fault", "recovery", "settle")
OUTCOMES = (
    "cancelled",
    "misrouted",
    "corrupted",
    "stream_error",
    "hung",
    "truncated",
    "reset",
    "refused",
    "shed",
    "error",
    "malformed",
    "ok",
)
PILOT = "pilot"  # the reserved workload name of the one-token probe
CANARY = "canary"  # likewise of the quiet canary's requests
LOADED = "load"  # the moment of a canary that is asked while the load runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something seen at ``t``."""

    type: ClassVar[str] = "event"
    t: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The first line. ``started_mono`` is the raw monotonic second that is t = 0."""

    type: ClassVar[str] = "run.started"
    schema: int = SCHEMA
    vqchaos_version: str
    run: str
    experiment: str
    stack: str
    seed: int
    started_wall: float
    started_mono: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The last line. ``how``: completed, void, interrupted, stopped (a stop condition was met),
    error, or died (the runner was killed; whoever reverted wrote this)."""

    type: ClassVar[str] = "run.ended"
    how: str
    why: str = ""
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStarted(Event):
    type: ClassVar[str] = "phase.started"
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnded(Event):
    """``why``: why it ended (time is up, recovered, server exited, …)."""

    type: ClassVar[str] = "phase.ended"
    phase: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Event):
    """One request and what its client got, written when it ended (``t`` == ``ended``).

    ``workload`` is the workload's name, or ``pilot``. ``tokens`` are the moments of non-empty
    deltas (of the whole answer, once, if not streamed). ``known`` is when the client knew the
    outcome: its first token for a success, its classification for a failure.
    """

    type: ClassVar[str] = "request"
    workload: str
    id: str  # the X-Request-Id, `vqc-…`
    api: str  # completions | chat
    stream: bool
    due: float
    sent: float | None
    first_byte: float | None
    first_token: float | None
    tokens: Sequence[float] = ()
    ended: float
    deadline: float  # seconds the request was given
    outcome: str
    status: int | None = None
    finish_reason: str | None = None
    completion_tokens: int | None = None
    detail: str = ""  # what went wrong, in a few words
    excerpt: str = ""  # start of the text or error body, at most 120 characters, data only
    replica: str | None = None  # who answered, as the stack's `replica_header` said
    mixed: str | None = None  # of a stream: the sign of a second answer in it; empty: none

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", array("d", self.tokens))  # a quarter of a list's memory

    @property
    def known(self) -> float:
        if self.outcome == "ok":
            return self.first_token if self.first_token is not None else self.ended
        return self.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthProbe(Event):
    """One GET of the health URL. ``error``: refused, reset, timeout, … when there is no status."""

    type: ClassVar[str] = "probe.health"
    sent: float
    status: int | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryProbe(Event):
    """One canary answer. ``moment``: baseline, fault or final (quiet), or load (while it runs).

    ``tokens`` and ``logprobs`` are the answer's fingerprint; ``expected_*`` the golden reference
    if the run has one; ``garbage`` the detectors that fired. ``outcome`` is the request's own.
    """

    type: ClassVar[str] = "probe.canary"
    moment: str
    name: str
    api: str
    sent: float
    outcome: str
    detail: str = ""
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    expected_text: str | None = None
    expected_tokens: list[int] | None = None
    expected_logprobs: list[float] | None = None
    garbage: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsProbe(Event):
    """A scrape of vLLM's own metrics: name without ``vllm:`` → value, summed over labels."""

    type: ClassVar[str] = "probe.metrics"
    values: dict[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LagProbe(Event):
    """How late the observer's own timers fired since the last one, seconds each."""

    type: ClassVar[str] = "probe.lag"
    samples: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", array("d", self.samples))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted(Event):
    """A process of the stack. ``start_time`` is its creation, Unix seconds. ``role``: server,
    engine, worker, tracker, proxy. ``source``: launcher (exact) or probe (when it was seen)."""

    type: ClassVar[str] = "process.started"
    role: str
    pid: int
    start_time: float
    group: int | None = None
    session: int | None = None
    title: str = ""
    source: str = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited(Event):
    """``exit_code`` is negative for a signal, None where nobody could know."""

    type: ClassVar[str] = "process.exited"
    role: str
    pid: int
    exit_code: int | None = None
    source: str = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStopped(Event):
    """Stopped (SIGSTOP) or, ``stopped`` false, continued."""

    type: ClassVar[str] = "process.stopped"
    role: str
    pid: int
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEvent(Event):
    """What Docker said of a container of the stack. ``action``: start, die, oom, kill, stop, pause,
    unpause, restart, create, destroy or health_status; ``word``: the health status, or a kill's
    signal. ``number`` is Compose's, within the service; ``replica`` counts over all services of the
    role, None where that is not known."""

    type: ClassVar[str] = "container"
    action: str
    word: str = ""
    role: str
    service: str
    number: int = 1
    container: str
    exit_code: int | None = None
    replica: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterReplica(Event):
    """What the router's statistics say of a replica, when it changes. ``up``: it gets requests;
    None: the router gave no word, and ``status`` says why. ``status`` is else the router's text.
    ``number``: which replica that is, from 1, by the router's names or by their order."""

    type: ClassVar[str] = "router.replica"
    replica: str
    up: bool | None
    status: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecorded(Event):
    """The fault is in the ledger, on disk. ``at`` is its offset into the fault phase."""

    type: ClassVar[str] = "fault.recorded"
    fault: str  # its name in the experiment
    kind: str  # its fault type
    entry: str  # ledger id
    target: str | None
    held: bool
    startup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(Event):
    """``t`` is right before the effecting call (for `external`: see ``by``, the evidence)."""

    type: ClassVar[str] = "fault.injected"
    fault: str
    by: str = "vqchaos"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultVerified(Event):
    """``answer``: yes, no or none (no way to tell)."""

    type: ClassVar[str] = "fault.verified"
    fault: str
    answer: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReverted(Event):
    """The revert call returned (a start-up fault: the clean start was accepted)."""

    type: ClassVar[str] = "fault.reverted"
    fault: str
    note: str = ""
    entry: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultUndone(Event):
    """Proof after the revert. ``answer``: yes, no or none. ``entry``: which of the fault's times,
    by its ledger id; without it, the latest."""

    type: ClassVar[str] = "fault.undone"
    fault: str
    answer: str
    why: str = ""
    entry: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFailed(Event):
    """A step of a fault raised. ``step``: capture, inject, verify, revert, verify_undone."""

    type: ClassVar[str] = "fault.failed"
    fault: str
    step: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt(Event):
    """How the start under a start-up fault ended. ``outcome``: exited, served or neither.

    ``started`` is when the process was launched, ``t`` when it ended or served. ``cause`` is the
    log line that names the cause, if one does; ``left`` what the attempt left behind.
    """

    type: ClassVar[str] = "startup.attempt"
    fault: str
    outcome: str
    started: float
    exit_code: int | None = None
    cause: str | None = None
    log_tail: list[str] = field(default_factory=list)
    health_status: int | None = None
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Event):
    """The world after the run was compared with the world before it; what differs is among the
    leftovers and the residue. ``looked_at``: kind → how many things, 0 if there was none."""

    type: ClassVar[str] = "world.compared"
    looked_at: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers(Event):
    """Ours, still there or changed after the run. Each item: kind, name, detail."""

    type: ClassVar[str] = "leftovers"
    items: list[dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue(Event):
    """The stack's own, left behind or changed by its faults. Each item: kind, name, detail."""

    type: ClassVar[str] = "residue"
    items: list[dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something worth saying that no other event says. ``source``: runner, person, watchdog."""

    type: ClassVar[str] = "note"
    text: str
    source: str = "runner"


ALL: tuple[type[Event], ...] = (
    RunStarted,
    RunEnded,
    PhaseStarted,
    PhaseEnded,
    Request,
    HealthProbe,
    CanaryProbe,
    MetricsProbe,
    LagProbe,
    ProcessStarted,
    ProcessExited,
    ProcessStopped,
    ContainerEvent,
    RouterReplica,
    FaultRecorded,
    FaultInjected,
    FaultVerified,
    FaultReverted,
    FaultUndone,
    FaultFailed,
    StartAttempt,
    Compared,
    Leftovers,
    Residue,
    Note,
)
TYPES: dict[str, type[Event]] = {cls.type: cls for cls in ALL}
