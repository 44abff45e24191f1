"""Synthetic histories: a scripted world whose requests, probes and phases are events.

``World`` sends constant arrivals and a pilot; bands of time say how the world answers. All moments
are seconds since the run's start. ``build()`` returns the events in the order they were known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vqchaos.experiment.model import Experiment
from vqchaos.history.events import (
    PILOT,
    CanaryProbe,
    Event,
    FaultInjected,
    FaultRecorded,
    FaultReverted,
    FaultUndone,
    FaultVerified,
    HealthProbe,
    LagProbe,
    Leftovers,
    PhaseEnded,
    PhaseStarted,
    ProcessExited,
    ProcessStarted,
    Request,
    Residue,
    RunEnded,
    RunStarted,
)

BASELINE = (2.0, 12.0)
FAULT = (12.0, 22.0)
WALL = 1_795_000_000.0  # 18 November 2026


def experiment(**changes: Any) -> Experiment:
    """A small experiment; ``checks`` and all else can be given as the YAML has them."""
    data: dict[str, Any] = {
        "name": "toy",
        "faults": [{"type": "process_kill", "target": "engine"}],
        "recovered": {"for": "3s", "successes": 10, "slowdown": 2.0},
        "checks": [],
    }
    return Experiment.model_validate({**data, **changes})


@dataclass
class Band:
    """How requests sent between ``start`` and ``end`` fare."""

    start: float
    end: float
    make: Callable[[Request], Request]
    who: str | None  # a workload's name; None: all and the pilot


@dataclass
class World:
    """What happens is scripted with the methods; nothing happens at ``build``'s whim."""

    warmup: tuple[float, float] = (0.0, 2.0)
    baseline: tuple[float, float] = BASELINE
    fault_phase: tuple[float, float] = FAULT
    recovery: tuple[float, float] | None = (22.0, 40.0)
    settle: tuple[float, float] | None = (40.0, 45.0)
    rate: float = 8.0
    pilot_every: float = 0.5
    health_every: float = 0.25
    ttft: float = 0.1
    itl: float = 0.02
    tokens: int = 5
    deadline: float = 10.0
    pilot_deadline: float = 2.0
    how: str = "completed"
    workloads: Sequence[str] = ("clients",)
    stream: bool = True
    bands: list[Band] = field(default_factory=list)
    extra: list[Event] = field(default_factory=list)
    health_bands: list[tuple[float, float, int | None]] = field(default_factory=list)
    number: int = 0

    # ---------------------------------------------------------------- scripting

    def add(self, *events: Event) -> World:
        self.extra.extend(events)
        return self

    def band(
        self, start: float, end: float, make: Callable[[Request], Request], who: str | None = None
    ) -> World:
        self.bands.append(Band(start, end, make, who))
        return self

    def fail(
        self, start: float, end: float, outcome: str = "refused", who: str | None = None,
        *, after: float = 0.01,
    ) -> World:  # fmt: skip
        """Requests sent in the band fail ``after`` seconds."""
        return self.band(start, end, lambda r: failed(r, outcome, after), who)

    def hang(self, start: float, end: float, who: str | None = None) -> World:
        """Requests sent in the band hang until their deadline."""
        return self.band(start, end, lambda r: failed(r, "hung", r.deadline), who)

    def slow(self, start: float, end: float, factor: float, who: str | None = None) -> World:
        """Requests sent in the band get their tokens ``factor`` times as late."""
        return self.band(start, end, lambda r: slowed(r, factor), who)

    def answered_by(self, *replicas: str | None) -> World:
        """Each replica in turn answers every request, the pilot's too."""

        def make(request: Request) -> Request:
            return changed(request, replica=replicas[int(request.id[4:]) % len(replicas)])

        return self.band(0.0, float("inf"), make)

    def at_replica(
        self, start: float, end: float, replica: str, make: Callable[[Request], Request]
    ) -> World:
        """What becomes of requests that the replica answers; after ``answered_by``."""
        return self.band(start, end, lambda r: make(r) if r.replica == replica else r)

    def down(self, start: float, end: float, outcome: str = "refused") -> World:
        """Nothing is served: requests fail, health does not answer."""
        self.health_bands.append((start, end, None))
        return self.fail(start, end, outcome)

    def health(self, start: float, end: float, status: int | None) -> World:
        self.health_bands.append((start, end, status))
        return self

    def inject(
        self,
        at: float | None = 12.0,
        *,
        name: str = "process_kill",
        kind: str | None = None,
        held: bool = False,
        startup: bool = False,
        verified: str | None = "yes",
        reverted: float | None = 22.0,
        undone: str | None = "yes",
    ) -> World:
        """A fault's events; ``at`` None: recorded, but nobody knows when (``external``)."""
        moment = self.fault_phase[0] if at is None else at
        self.add(
            FaultRecorded(
                t=moment - 0.01, fault=name, kind=kind or name, entry=f"run.{name}",
                target="engine", held=held, startup=startup,
            )
        )  # fmt: skip
        if at is not None:
            self.add(FaultInjected(t=at, fault=name))
        if verified is not None:
            self.add(FaultVerified(t=moment + 0.01, fault=name, answer=verified))
        if reverted is not None:
            self.add(FaultReverted(t=reverted, fault=name))
        if undone is not None:
            when = (moment if reverted is None else reverted) + 0.01
            self.add(FaultUndone(t=when, fault=name, answer=undone))
        return self

    def restart(
        self, gone: float, back: float, *, pid: int = 200, old: int = 100, role: str = "engine"
    ) -> World:
        """The server's process goes (after its ``role`` did) and another comes."""
        if role != "server":
            self.add(ProcessExited(t=gone, role=role, pid=old + 1, exit_code=-9))
        return self.add(
            ProcessExited(t=gone + 0.2, role="server", pid=old, exit_code=0, source="launcher"),
            ProcessStarted(t=back, role="server", pid=pid, start_time=WALL + back),
        )

    def canary(self, moment: str, at: float, **changes: Any) -> World:
        return self.add(canary(moment, at, **changes))

    def request(self, sent: float, workload: str = "clients", **changes: Any) -> Request:
        """One good request as the world would answer it, or as ``changes`` say."""
        self.number += 1
        first = sent + self.ttft
        count = self.tokens if self.stream and workload != PILOT else 1
        tokens = [round(first + n * self.itl, 6) for n in range(count)]
        data: dict[str, Any] = {
            "workload": workload, "id": f"vqc-{self.number:06d}", "api": "completions",
            "stream": self.stream, "due": sent, "sent": sent, "first_byte": first,
            "first_token": first, "tokens": tokens, "ended": tokens[-1], "outcome": "ok",
            "deadline": self.pilot_deadline if workload == PILOT else self.deadline,
            "status": 200, "finish_reason": "length",
        }  # fmt: skip
        data.update(changes)
        data.setdefault("t", data["ended"])
        return Request(**{**data, "t": data["ended"]})

    # ---------------------------------------------------------------- building

    def build(self) -> list[Event]:
        """All events, in the order in which they became known."""
        events = [*self._phases(), *self._traffic(), *self._health(), *self.extra]
        started = RunStarted(
            t=0.0, vqchaos_version="0.1.0", run="20261118T000000Z-toy-0000", experiment="toy",
            stack="local", seed=7, started_wall=WALL, started_mono=1000.0,
        )  # fmt: skip
        server = ProcessStarted(t=0.05, role="server", pid=100, start_time=WALL - 60)
        ended = self._end() + 1.0
        tail: list[Event] = []
        if not any(isinstance(e, Leftovers) for e in self.extra):
            tail.append(Leftovers(t=ended, items=[]))
        if not any(isinstance(e, Residue) for e in self.extra):
            tail.append(Residue(t=ended, items=[]))
        if self.how:
            tail.append(RunEnded(t=ended + 0.1, how=self.how))
        return [started, server, *sorted(events, key=lambda e: e.t), *tail]

    def _spans(self) -> list[tuple[str, tuple[float, float]]]:
        spans = [
            ("warmup", self.warmup),
            ("baseline", self.baseline),
            ("fault", self.fault_phase),
            ("recovery", self.recovery),
            ("settle", self.settle),
        ]
        return [(name, span) for name, span in spans if span is not None]

    def _end(self) -> float:
        return self._spans()[-1][1][1]

    def _phases(self) -> list[Event]:
        out: list[Event] = [LagProbe(t=self.baseline[0] + 1, samples=[0.001] * 20)]
        for name, (start, end) in self._spans():
            out += [PhaseStarted(t=start, phase=name), PhaseEnded(t=end, phase=name)]
        return out

    def _traffic(self) -> list[Event]:
        out: list[Event] = []
        streams = [(name, 1 / self.rate) for name in self.workloads]
        for name, every in [*streams, (PILOT, self.pilot_every)]:
            if not every:
                continue
            count = int((self._end() - self.warmup[0]) / every)
            for n in range(count):
                request = self.request(round(self.warmup[0] + n * every, 6), name)
                sent = request.sent or 0.0
                for band in self.bands:
                    if band.start <= sent < band.end and band.who in (None, name):
                        request = band.make(request)
                out.append(request)
        return out

    def _health(self) -> list[Event]:
        out: list[Event] = []
        for n in range(int(self._end() / self.health_every)):
            sent = n * self.health_every
            status: int | None = 200
            for start, end, said in self.health_bands:
                if start <= sent < end:
                    status = said
            error = "refused" if status is None else ""
            out.append(HealthProbe(t=sent + 0.005, sent=sent, status=status, error=error))
        return out


def failed(request: Request, outcome: str, after: float) -> Request:
    """The same request, failed ``after`` seconds without a token."""
    sent = request.sent or request.due
    return changed(
        request, outcome=outcome, ended=sent + after, first_byte=None, first_token=None,
        tokens=[], status=None, finish_reason=None, detail="made up",
    )  # fmt: skip


def slowed(request: Request, factor: float) -> Request:
    """The same request, each moment ``factor`` times as long after it was sent."""
    if not request.tokens:
        return request
    sent = request.sent or request.due
    tokens = [round(sent + (t - sent) * factor, 6) for t in request.tokens]
    return changed(
        request, tokens=tokens, first_token=tokens[0], first_byte=tokens[0], ended=tokens[-1]
    )


def changed(request: Request, **changes: Any) -> Request:
    """The same request but for ``changes``; it became known when it ended."""
    new = replace(request, **changes)
    return replace(new, t=new.ended)


def canary(moment: str, at: float, **changes: Any) -> CanaryProbe:
    """One canary answer; by default the right one."""
    data: dict[str, Any] = {
        "t": at, "moment": moment, "name": "licence", "api": "completions", "sent": at - 0.5,
        "outcome": "ok", "text": "Unless required", "tokens": [4, 8, 15],
        "logprobs": [-0.01, -0.02, -0.03],
    }  # fmt: skip
    return CanaryProbe(**{**data, **changes})


def killed(recovered: float = 30.0, *, at: float = 12.0) -> World:
    """The engine is killed; the server is back and serves at ``recovered``."""
    world = World().inject(at)
    world.down(at + 0.1, recovered)
    world.restart(at + 0.2, recovered - 5.0)
    world.canary("baseline", 1.9).canary("final", 46.0)
    return world
