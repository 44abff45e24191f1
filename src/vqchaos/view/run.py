"""``RunView``: one run's history, sorted out for those who judge it. Pure and lazy."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from vqchaos.history.events import (
    CANARY,
    PHASES,
    PILOT,
    CanaryProbe,
    Event,
    FaultInjected,
    FaultRecorded,
    HealthProbe,
    LagProbe,
    Leftovers,
    MetricsProbe,
    Note,
    PhaseEnded,
    PhaseStarted,
    ProcessExited,
    ProcessStarted,
    ProcessStopped,
    Request,
    Residue,
    RunEnded,
    RunStarted,
    StartAttempt,
)
from vqchaos.scenario import Scenario
from vqchaos.stats import quantile, samples_for
from vqchaos.view.evidence import Evidence, health_text
from vqchaos.view.faults import EXTERNAL, FaultRecord, external_without_moment, fault_records
from vqchaos.view.frame import PhaseSpan, distinct_servers, phase_spans
from vqchaos.view.replicas import Counts, answered_by
from vqchaos.view.replicas import counts as counts_by_replica
from vqchaos.view.replicas import names as names_of_replicas
from vqchaos.view.requests import Figures, figures, order, sent_at, stalled_at, trouble_at, ttft
from vqchaos.view.tokens import token_moments

E = TypeVar("E", bound=Event)
_NO_SERVICE = frozenset({"misrouted", "corrupted", "malformed"})  # tokens, but not an answer
_LEAST_STALL = 1.0
_STALL_FACTOR = 5.0


class RunView:
    """What checks, recovery and reports know of a run. All moments are seconds since its start.

    ``requests`` holds workloads' and pilot's requests in order of sending. Figures of the baseline
    use only requests that were sent in it and ended before the first injection.
    """

    def __init__(self, events: Sequence[Event], experiment: Scenario) -> None:
        self.events = events
        self.experiment = experiment
        self._by_type: dict[type[Event], list[Event]] = defaultdict(list)
        for event in events:
            self._by_type[type(event)].append(event)
        self.phases = phase_spans(self.all(PhaseStarted), self.all(PhaseEnded))
        self._starts = [p.start for p in self.phases]
        self._names = [p.name for p in self.phases]

    def all(self, kind: type[E]) -> list[E]:
        """The events of one type, in the order they were written."""
        return self._by_type.get(kind, [])  # type: ignore[return-value]

    # ------------------------------------------------------------ frame

    @property
    def started(self) -> RunStarted | None:
        return next(iter(self.all(RunStarted)), None)

    @property
    def ended(self) -> RunEnded | None:
        return next(reversed(self.all(RunEnded)), None)

    def phase(self, name: str) -> PhaseSpan | None:
        return next((p for p in self.phases if p.name == name), None)

    @cached_property
    def fault_end(self) -> float:
        """When the fault phase ended; infinite while it lasts."""
        span = self.phase("fault")
        return float("inf") if span is None or span.end is None else span.end

    @cached_property
    def watched_until(self) -> float:
        """The last moment at which the workload was watched: the end of the last phase."""
        if self.phases and self.phases[-1].end is not None:
            return self.phases[-1].end
        return max((e.t for e in self.events), default=0.0)

    # ------------------------------------------------------------ faults

    @cached_property
    def faults(self) -> list[FaultRecord]:
        records = fault_records(e for e in self.events if e.type.startswith("fault."))
        records.sort(key=lambda r: (r.recorded_at is None, r.recorded_at or 0.0))
        if external_without_moment(records) and (sign := self.evidence.first(self.events)):
            for record in records:
                if record.type == EXTERNAL and not record.injected:
                    record.injected.append(sign)
        return records

    @cached_property
    def evidence(self) -> Evidence:
        """The detector of signs of a fault that others make."""
        span = self.phase("fault")
        since = float("inf") if span is None else span.start
        before = [h for h in self.all(HealthProbe) if h.t < since]
        usual = health_text(max(before, key=lambda h: h.t)) if before else None
        return Evidence(since, usual, self.stall)

    @cached_property
    def _injections(self) -> list[float]:
        return sorted(t for f in self.faults for t, _ in f.injected)

    @property
    def first_injection(self) -> float | None:
        return self._injections[0] if self._injections else None

    @property
    def last_injection(self) -> float | None:
        return self._injections[-1] if self._injections else None

    @cached_property
    def last_revert(self) -> float | None:
        """The last revert of a held fault."""
        moments = [f.reverted_at for f in self.faults if f.held and f.reverted_at is not None]
        return max(moments, default=None)

    @property
    def any_held(self) -> bool:
        return any(f.held and f.injected for f in self.faults)

    @cached_property
    def in_flight_at_injection(self) -> int | None:
        """Clients' requests on their way at the first injection; None if nothing was injected."""
        if self.first_injection is None:
            return None
        return sum(self.was_in_flight(r) for r in self.requests if r.workload != PILOT)

    def was_in_flight(self, request: Request) -> bool:
        """Was it on its way at the first injection?"""
        at = self.first_injection
        return at is not None and request.sent is not None and request.sent <= at < request.ended

    # ------------------------------------------------------------ requests

    @cached_property
    def requests(self) -> list[Request]:
        return sorted((r for r in self.all(Request) if r.workload != CANARY), key=order)

    @cached_property
    def workloads(self) -> list[str]:
        """The names of the clients' workloads, as the experiment and the history have them."""
        seen = {r.workload for r in self.requests} - {PILOT}
        named = list(self.experiment.traffic())
        return [*named, *sorted(seen - set(named))]

    def sent_in(self, moment: float) -> str:
        """The phase that ``moment`` lies in, or the last before it (canaries lie between)."""
        place = bisect_right(self._starts, moment)
        return self._names[place - 1] if place else PHASES[0]

    def phase_of(self, request: Request) -> str:
        """``fault`` if any part of its life lies between the first injection and the end of the
        fault phase, else the phase in which it was sent."""
        sent, first = sent_at(request), self.first_injection
        if first is not None and sent <= self.fault_end and request.ended >= first:
            return "fault"
        return self.sent_in(sent)

    @cached_property
    def _sorted_out(self) -> dict[tuple[str, str], list[Request]]:
        out: dict[tuple[str, str], list[Request]] = defaultdict(list)
        for request in self.requests:
            out[request.workload, self.phase_of(request)].append(request)
        return out

    def select(
        self,
        phase: str = "all",
        workload: str | None = None,
        replica: str | None = None,
        *,
        cancelled: bool = False,
    ) -> list[Request]:
        """Requests of a phase (or ``all``), a workload (None: every client's, no pilot) and a
        replica that answered (None: whoever did); without those that vqchaos cancelled, which are
        in no share."""
        return [
            r
            for (name, where), group in self._sorted_out.items()
            if phase in ("all", where)
            and (name == workload if workload is not None else name != PILOT)
            for r in group
            if (cancelled or r.outcome != "cancelled")
            and (replica is None or answered_by(r) == replica)
        ]

    @cached_property
    def replicas(self) -> list[str]:
        """The replicas that answered clients, by name."""
        return names_of_replicas(self.select(cancelled=True))

    def by_replica(self) -> Counts:
        """The clients' requests by replica → phase → outcome → count."""
        return counts_by_replica(self.select(cancelled=True), self.phase_of)

    def outcomes(self) -> dict[str, dict[str, dict[str, int]]]:
        """By workload → phase → outcome → count, the pilot's too; phases in their order."""
        out: dict[str, dict[str, dict[str, int]]] = {}
        for name in [*self.workloads, PILOT]:
            for phase in PHASES:
                group = self._sorted_out.get((name, phase))
                if group:
                    counts = Counter(r.outcome for r in group)
                    out.setdefault(name, {})[phase] = dict(sorted(counts.items()))
        return out

    def latency(self, phase: str, workload: str) -> Figures:
        """The latency figures of one workload's successes in a phase (baseline: see the class)."""
        if phase == "baseline":
            return self.baseline(workload)
        return figures(self._sorted_out.get((workload, phase), []))

    def measured_phases(self, workload: str) -> Iterator[str]:
        for phase in PHASES:
            if self._sorted_out.get((workload, phase)):
                yield phase

    # ------------------------------------------------------------ baseline

    @cached_property
    def baseline_until(self) -> float:
        """Before this a request must have ended to count as baseline: the first injection; where
        that is found by its effects, the start of the fault phase."""
        moments = [e.t for e in self.all(FaultInjected)]
        span = self.phase("fault")
        if span is not None and any(e.kind == EXTERNAL for e in self.all(FaultRecorded)):
            moments.append(span.start)
        return min(moments, default=float("inf"))

    def is_baseline(self, request: Request) -> bool:
        return request.ended < self.baseline_until and self.sent_in(sent_at(request)) == "baseline"

    @cached_property
    def baseline_requests(self) -> dict[str, list[Request]]:
        out: dict[str, list[Request]] = defaultdict(list)
        for request in self.requests:
            if self.is_baseline(request):
                out[request.workload].append(request)
        return out

    @cached_property
    def _baselines(self) -> dict[str, Figures]:
        return {name: figures(group) for name, group in self.baseline_requests.items()}

    def baseline(self, workload: str, replica: str | None = None) -> Figures:
        if replica is not None:
            found = self.baseline_requests.get(workload, [])
            return figures(r for r in found if answered_by(r) == replica)
        return self._baselines.get(workload, Figures())

    @cached_property
    def _stalls(self) -> dict[str, float]:
        return {
            name: max(_LEAST_STALL, _STALL_FACTOR * f.ttft_p95)
            for name, f in self._baselines.items()
            if f.ttft_p95 is not None
        }

    def stall(self, workload: str) -> float:
        """Seconds without a token after which a request is stalled: 5 x its workload's baseline
        p95 TTFT, at least 1 s."""
        return self._stalls.get(workload, _LEAST_STALL)

    def stalled_at(self, request: Request) -> float | None:
        return stalled_at(request, self.stall(request.workload))

    def trouble_at(self, request: Request) -> float | None:
        """When its client first knew of a failure or stall."""
        return trouble_at(request, self.stall(request.workload))

    @cached_property
    def troubles(self) -> list[tuple[float, Request]]:
        """Every failed or stalled request with the moment its client first knew, in order of
        sending; reckoned once, since most of what is judged is about them."""
        found = ((self.trouble_at(r), r) for r in self.requests)
        return [(moment, r) for moment, r in found if moment is not None]

    def slowness(self, requests: Sequence[Request]) -> tuple[float, str] | None:
        """(ratio, statistic) of TTFT against each workload's own baseline, clients only: of the
        medians below 40 samples, of the p95 from 40 on. None without samples or baseline."""
        middle, high = [], []
        for request in requests:
            base, first = self.baseline(request.workload), ttft(request)
            if request.workload == PILOT or request.outcome != "ok" or first is None:
                continue
            if base.ttft_p50 and base.ttft_p95:
                middle.append(first / base.ttft_p50)
                high.append(first / base.ttft_p95)
        if len(middle) >= 40:
            return (quantile(high, 0.95) or 0.0, "p95")
        value = quantile(middle, 0.5)
        return None if value is None else (value, "median")

    @cached_property
    def tokens(self) -> Sequence[float]:
        """Every moment at which a client or the pilot got a valid token, in order."""
        return token_moments(r for r in self.requests if r.outcome not in _NO_SERVICE)

    # ------------------------------------------------------------ probes

    @property
    def health(self) -> list[HealthProbe]:
        return self.all(HealthProbe)

    @property
    def metrics(self) -> list[MetricsProbe]:
        return self.all(MetricsProbe)

    @cached_property
    def pilots(self) -> list[Request]:
        return [r for r in self.requests if r.workload == PILOT]

    @cached_property
    def canaries(self) -> dict[str, list[CanaryProbe]]:
        """By moment: baseline, fault, final."""
        out: dict[str, list[CanaryProbe]] = defaultdict(list)
        for probe in self.all(CanaryProbe):
            out[probe.moment].append(probe)
        return dict(out)

    @cached_property
    def processes(self) -> list[ProcessStarted | ProcessExited | ProcessStopped]:
        """The stack's process timeline, in order of time."""
        found: list[ProcessStarted | ProcessExited | ProcessStopped] = [
            *self.all(ProcessStarted),
            *self.all(ProcessExited),
            *self.all(ProcessStopped),
        ]
        return sorted(found, key=lambda e: e.t)

    @cached_property
    def server_starts(self) -> list[ProcessStarted]:
        """Distinct server processes in order of their start."""
        return distinct_servers(self.all(ProcessStarted))

    @property
    def attempts(self) -> list[StartAttempt]:
        return self.all(StartAttempt)

    @property
    def leftovers(self) -> list[dict[str, str]]:
        found = self.all(Leftovers)
        return found[-1].items if found else []

    @property
    def residue(self) -> list[dict[str, str]] | None:
        """What the stack left behind; None if nobody looked."""
        found = self.all(Residue)
        return found[-1].items if found else None

    @property
    def notes(self) -> list[Note]:
        return self.all(Note)

    @cached_property
    def lag(self) -> tuple[float, str] | None:
        """(how late, statistic) of the observer's own timers from the baseline on: the p99, of
        fewer samples than that takes the highest."""
        span = self.phase("baseline")
        since = span.start if span is not None else 0.0
        late = [s for e in self.all(LagProbe) if e.t >= since for s in e.samples]
        if len(late) < samples_for(0.99):
            return (max(late), f"highest of {len(late)}") if late else None
        return (quantile(late, 0.99) or 0.0, "p99")
