"""The fault phase: what is injected and reverted when, and what ends the phase."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vqchaos.experiment.model import Experiment
from vqchaos.faults.base import StartupFault
from vqchaos.history.events import StartAttempt
from vqchaos.load.redact import Redactor
from vqchaos.observer.link import ObserverLink
from vqchaos.runner.injection import Injection, Injector
from vqchaos.runner.recorder import Recorder
from vqchaos.stack.protocols import Attempt, Stack

STREAM_WAIT = 5.0  # seconds an instant cut waits for a request to be streaming
DRAIN_LIMIT = 60.0
_SHOWN = 400  # characters of a log's line
LET_GO = 2.0  # seconds a refused start has to let go of everything; its last process ends after it


def injections(experiment: Experiment) -> list[Injection]:
    """The experiment's faults in order of their time, each with its name; one that `every` repeats
    is there as often as the fault phase has room for it."""
    items = [
        Injection(number=number, name=fault.name or fault.type, fault=fault, at=fault.at)
        for number, fault in enumerate(experiment.faults)
    ]
    for first in list(items):
        every, times = first.fault.every, 1
        while every is not None and (at := first.at + times * every) < experiment.phases.fault:
            items.append(replace(first, number=len(items), at=at, again=True))
            times += 1
    return sorted(items, key=lambda item: (item.at, item.number))


@dataclass(frozen=True, slots=True)
class Step:
    """Something due at ``at`` seconds into the fault phase."""

    at: float
    revert: bool
    item: Injection


def steps(items: list[Injection], limit: float) -> list[Step]:
    """Injections, and the reverts of held faults that end before the phase does."""
    out = [Step(item.at, revert=False, item=item) for item in items]
    for item in items:
        if item.fault.is_held and item.fault.for_ is not None:
            end = item.at + item.fault.for_
            if end < limit:
                out.append(Step(end, revert=True, item=item))
    return sorted(out, key=lambda step: (step.at, step.revert))


class FaultPhase:
    """Runs the steps of one fault phase; ``ended`` says why it ended."""

    def __init__(
        self,
        experiment: Experiment,
        stack: Stack,
        recorder: Recorder,
        observer: ObserverLink,
        injector: Injector,
    ) -> None:
        self._experiment = experiment
        self._stack = stack
        self._rec = recorder
        self._observer = observer
        self._injector = injector

    def run(self, items: list[Injection]) -> str:
        """Inject, hold, revert what ends early. Raises FaultError when an injection fails.

        A wait for a stream moves everything after it, and the phase's end: a fault is held for as
        long as its experiment says.
        """
        rec, limit = self._rec, self._experiment.phases.fault
        started = rec.t()
        for step in steps(items, limit):
            rec.wait(lambda: False, max(0.0, started + step.at - rec.t()))
            if step.revert:
                self._injector.revert(step.item)
                continue
            if step.item.fault.cuts_streams:
                due = rec.t()
                rec.wait(lambda: self._observer.status.streaming > 0, STREAM_WAIT)
                started += rec.t() - due
            self._inject(step.item)
        startup = [item for item in items if isinstance(item.fault, StartupFault)]
        if startup:
            return self._await_start(startup[-1], started + limit)
        rec.wait(lambda: False, max(0.0, started + limit - rec.t()))
        return "time is up"

    def _inject(self, item: Injection) -> None:
        rec, fault = self._rec, item.fault
        watched = any(check.type == "restarts" for check in self._experiment.checks)
        if fault.startup:
            rec.progress.said("draining: no new requests until those in flight have ended", rec.t())
            self._observer.drain(self._drain_limit())
            try:
                self._injector.inject(item, restarts=watched)
            finally:
                self._observer.resume()
            return
        self._injector.inject(item, restarts=watched)

    def _drain_limit(self) -> float:
        deadlines = [w.deadline for w in self._experiment.traffic().values()]
        return min(DRAIN_LIMIT, max(deadlines) + 5.0)

    def _await_start(self, item: Injection, deadline: float) -> str:
        """Until the server refused, or served a token and the quiet canary ran on it."""
        rec, fault = self._rec, item.fault
        assert isinstance(fault, StartupFault)
        server = fault.server(self._stack)
        # With a spare, the router serves whatever becomes of this one: it is asked itself.
        url = server.own_url()
        rec.progress.said("waiting until the server refuses to start, or serves", rec.t())
        seen: list[Attempt] = []
        served = False

        def over() -> bool:
            nonlocal served
            attempt = server.attempt()
            if attempt.state == "exited":
                seen.append(attempt)
                return True
            served = attempt.state == "running" and self._observer.token(
                direct=True, timeout=2.0, url=url
            )
            return served

        rec.wait(over, max(0.0, deadline - rec.t()))
        attempt = seen[-1] if seen else server.attempt()
        outcome = "served" if served else "exited" if seen else "neither"
        ended = attempt.ended - rec.origin if attempt.ended is not None else rec.t()
        redact = Redactor(self._stack.endpoints.headers.values())
        cause = cause_line(fault, server.attempt_log())
        rec.emit(
            StartAttempt(
                t=ended,
                fault=item.name,
                outcome=outcome,
                started=(attempt.started or rec.origin) - rec.origin,
                exit_code=attempt.exit_code,
                # Before they are cut: half a secret is not found any more.
                cause=None if cause is None else redact(cause)[:_SHOWN],
                log_tail=[redact(line)[:_SHOWN] for line in attempt.log[-40:]],
                left=self._held_still(outcome),
            )
        )
        if outcome == "served":
            self._observer.canary("fault", timeout=60.0, url=url)
            return "the server serves; the canary ran on it"
        if outcome == "exited":
            return f"the server refused to start (exit code {attempt.exit_code})"
        return "the server neither served nor refused in time"

    def _held_still(self, outcome: str) -> list[str]:
        """What a refused start still holds: processes and shared memory. Files and sockets hold
        nothing; ``no_residue`` looks for those."""
        held: list[str] = []

        def free() -> bool:
            held[:] = [
                f"{item.kind} {item.name}"
                for item in self._stack.residue()
                if item.kind in ("process", "shared_memory")
            ]
            return not held

        if outcome == "exited":
            self._rec.wait(free, LET_GO)
        return held


def cause_line(fault: StartupFault, log: Sequence[str]) -> str | None:
    """The last line of the log that names the cause, if one does: the exception itself stands
    below its traceback."""
    for pattern in fault.expected_causes():  # the most telling first
        wanted = re.compile(pattern, re.IGNORECASE)
        for line in reversed(log):
            if wanted.search(line):
                return line.strip()
    return None
