"""``RunView``: one run's history, sorted out for those who judge it. Pure and lazy."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

from vqchaos.arrays import Floats, Mask, Places, np
from vqchaos.history.events import (
    CANARY,
    PHASES,
    PILOT,
    CanaryProbe,
    Event,
    FaultInjected,
    FaultRecorded,
    Leftovers,
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
from vqchaos.history.history import History
from vqchaos.scenario import Scenario
from vqchaos.view.evidence import Evidence, health_text
from vqchaos.view.faults import EXTERNAL, FaultRecord, external_without_moment, fault_records
from vqchaos.view.frame import PhaseSpan, distinct_servers, phase_spans
from vqchaos.view.group import Group, in_order_of_sending
from vqchaos.view.health import Health
from vqchaos.view.lag import lateness
from vqchaos.view.latency import Figures, figures, slowness
from vqchaos.view.replicas import NOBODY, Counts
from vqchaos.view.replicas import counts as counts_by_replica
from vqchaos.view.replicas import names as names_of_replicas
from vqchaos.view.requests import sent_at, stalled_at, trouble_at
from vqchaos.view.tokens import TokenMoments
from vqchaos.view.trouble import Troubles, troubles

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
        self.history = events if isinstance(events, History) else History(events)
        self.experiment = experiment
        self._by_type: dict[type[Event], list[Event]] = defaultdict(list)
        for event in self.history.others:
            self._by_type[type(event)].append(event)
        self.phases = phase_spans(self.all(PhaseStarted), self.all(PhaseEnded))
        self._starts = [p.start for p in self.phases]
        self._names = [PHASES[0], *(p.name for p in self.phases)]  # before the first: the first
        self._numbers = {name: n for n, name in enumerate(dict.fromkeys([*self._names, "fault"]))}

    def all(self, kind: type[E]) -> list[E]:
        """The events of one type, in the order they were written; of those that lie in no table."""
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
        return self.history.latest

    # ------------------------------------------------------------ faults

    @cached_property
    def faults(self) -> list[FaultRecord]:
        records = fault_records(e for e in self.history.others if e.type.startswith("fault."))
        records.sort(key=lambda r: (r.recorded_at is None, r.recorded_at or 0.0))
        if external_without_moment(records) and (sign := self._first_sign()):
            for record in records:
                if record.type == EXTERNAL and not record.injected:
                    record.injected.append(sign)
        return records

    @cached_property
    def evidence(self) -> Evidence:
        """The detector of signs of a fault that others make."""
        span = self.phase("fault")
        since = float("inf") if span is None else span.start
        before = self.health.last_before(since)
        return Evidence(since, None if before is None else health_text(before), self.stall)

    def _first_sign(self) -> tuple[float, str] | None:
        evidence, health = self.evidence, self.health
        changed = health.saying(lambda probe: health_text(probe) != (evidence.usual or "200"))
        first = health.pick(changed & (health.t >= evidence.since)).in_order()
        return evidence.first(
            [*self.processes, *first.pick(slice(1)), *(r for _, r in self.troubles)]
        )

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
        clients = self.requests.where(lambda kind: kind.workload != PILOT)
        return int(np.count_nonzero(self.were_in_flight(clients)))

    def were_in_flight(self, requests: Group) -> Mask:
        """Which were on their way at the first injection?"""
        at = float("nan") if self.first_injection is None else self.first_injection
        return (requests.really_sent <= at) & (at < requests.ended)

    # ------------------------------------------------------------ requests

    @cached_property
    def requests(self) -> Group:
        table = self.history.requests
        everyone = Group(table, np.arange(len(table)))
        return in_order_of_sending(everyone.where(lambda kind: kind.workload != CANARY))

    @cached_property
    def workloads(self) -> list[str]:
        """The names of the clients' workloads, as the experiment and the history have them."""
        seen = self.requests.counts(lambda kind: kind.workload).keys() - {PILOT}
        named = list(self.experiment.traffic())
        return [*named, *sorted(seen - set(named))]

    def sent_in(self, moment: float) -> str:
        """The phase that ``moment`` lies in, or the last before it (canaries lie between)."""
        return self._names[bisect_right(self._starts, moment)]

    def _sent_in(self, moments: Floats) -> Places:
        """As ``sent_in``, of many; each as the phase's number."""
        numbers: Places = np.array([self._numbers[name] for name in self._names], np.int32)
        return numbers[np.searchsorted(self._starts, moments, "right")]

    @cached_property
    def _sorted_out(self) -> dict[tuple[str, str], Group]:
        """By workload and phase, in the order of their first requests. ``fault`` if any part of
        its life lies between the first injection and the end of the fault phase, else the phase
        in which it was sent."""
        requests, first = self.requests, self.first_injection
        sent = requests.sent
        phase = self._sent_in(sent)
        if first is not None:
            phase[(sent <= self.fault_end) & (requests.ended >= first)] = self._numbers["fault"]
        names = list(self._numbers)
        found = requests.split(lambda kind: kind.workload, phase, len(names))
        return {(workload, names[number]): group for (workload, number), group in found.items()}

    def select(
        self,
        phase: str = "all",
        workload: str | None = None,
        replica: str | None = None,
        *,
        cancelled: bool = False,
    ) -> Group:
        """Requests of a phase (or ``all``), a workload (None: every client's, no pilot) and a
        replica that answered (None: whoever did); without those that vqchaos cancelled, which are
        in no share."""
        rows = [
            group.rows
            for (name, where), group in self._sorted_out.items()
            if phase in ("all", where)
            and (name == workload if workload is not None else name != PILOT)
        ]
        found = Group(self.history.requests, np.concatenate([np.empty(0, np.intp), *rows]))
        return found.where(
            lambda kind: (
                (cancelled or kind.outcome != "cancelled")
                and (replica is None or (kind.replica or NOBODY) == replica)
            )
        )

    @cached_property
    def replicas(self) -> list[str]:
        """The replicas that answered clients, by name."""
        return names_of_replicas(self.select(cancelled=True))

    def by_replica(self) -> Counts:
        """The clients' requests by replica → phase → outcome → count."""
        return counts_by_replica(
            (phase, group) for (name, phase), group in self._sorted_out.items() if name != PILOT
        )

    def outcomes(self) -> dict[str, dict[str, dict[str, int]]]:
        """By workload → phase → outcome → count, the pilot's too; phases in their order."""
        out: dict[str, dict[str, dict[str, int]]] = {}
        for name in [*self.workloads, PILOT]:
            for phase in PHASES:
                group = self._sorted_out.get((name, phase))
                if group:
                    counts = group.outcomes()
                    out.setdefault(name, {})[phase] = dict(sorted(counts.items()))
        return out

    def latency(self, phase: str, workload: str) -> Figures:
        """The latency figures of one workload's successes in a phase (baseline: see the class)."""
        if phase == "baseline":
            return self.baseline(workload)
        group = self._sorted_out.get((workload, phase))
        return Figures() if group is None else figures(group)

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
    def baseline_requests(self) -> dict[str, Group]:
        """By workload, in the order of their first requests."""
        requests, number = self.requests, self._numbers.get("baseline", -1)
        found = requests.pick(
            (requests.ended < self.baseline_until) & (self._sent_in(requests.sent) == number)
        )
        return {name: group for (name, _), group in found.split(lambda k: k.workload).items()}

    @cached_property
    def _baselines(self) -> dict[str, Figures]:
        return {name: figures(group) for name, group in self.baseline_requests.items()}

    def baseline(self, workload: str, replica: str | None = None) -> Figures:
        if replica is None:
            return self._baselines.get(workload, Figures())
        found = self.baseline_requests.get(workload)
        if found is None:
            return Figures()
        return figures(found.where(lambda kind: (kind.replica or NOBODY) == replica))

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
    def troubles(self) -> Troubles:
        """Every failed or stalled request with the moment its client first knew, in order of
        sending; reckoned once, since most of what is judged is about them."""
        return troubles(self.requests, self.stall)

    def slowness(self, requests: Group) -> tuple[float, str] | None:
        """(ratio, statistic) of TTFT against each workload's own baseline, clients only: of the
        medians below 40 samples, of the p95 from 40 on. None without samples or baseline."""
        return slowness(requests.ok, self.baseline)

    @cached_property
    def tokens(self) -> TokenMoments:
        """The moments at which a client or the pilot got a valid token."""
        return TokenMoments(self.requests.where(lambda kind: kind.outcome not in _NO_SERVICE))

    # ------------------------------------------------------------ probes

    @cached_property
    def health(self) -> Health:
        return Health(self.history.health)

    def metrics(self, *names: str) -> list[tuple[float, ...]]:
        """(t, the values of these names) of each scrape of vLLM's metrics that has them all."""
        return self.history.metrics.series(*names)

    @cached_property
    def pilots(self) -> Group:
        return self.requests.where(lambda kind: kind.workload == PILOT)

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
        return lateness(self.history.lag, 0.0 if span is None else span.start)
