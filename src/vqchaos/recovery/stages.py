"""The way back in stages: detected, process gone, process back, port open, health, first token,
sustained (throughput and latency back), cache warm; each with its moment and the source of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vqchaos.arrays import np
from vqchaos.history.events import (
    PILOT,
    ContainerEvent,
    ProcessExited,
    ProcessStarted,
    ProcessStopped,
)
from vqchaos.recovery.window import Window
from vqchaos.units import format_duration, format_share
from vqchaos.view.evidence import health_text
from vqchaos.view.run import RunView

STAGES = (
    "detected",
    "process_gone",
    "process_back",
    "port_open",
    "health",
    "first_token",
    "sustained",
    "cache_warm",
)
_QUERIES, _HITS = "prefix_cache_queries_total", "prefix_cache_hits_total"  # vLLM's, in tokens
_WARM = 0.9  # of the baseline's share of hits
_LEAST_HITS = 0.05  # a baseline with fewer has no cache that could be warm
_SERVING = frozenset({"server", "engine", "worker", "proxy"})


@dataclass(frozen=True, slots=True)
class Moment:
    """When, and who says so."""

    at: float
    source: str


def first_trouble(run: RunView, since: float, until: float, *, pilot: bool) -> Moment | None:
    """The first failure or stall of a client's (or the pilot's) request from ``since`` on, among
    those sent by ``until``."""
    found = run.troubles
    its = found.requests.having(lambda kind: (kind.workload == PILOT) is pilot)
    found = found.pick(its & (found.requests.sent <= until) & (found.at >= since))
    if not len(found.at):
        return None
    place = int(np.argmin(found.at))
    at, request = float(found.at[place]), found.requests[place]
    what = request.outcome if at == request.ended else "stalled"
    return Moment(at, f"{'pilot' if pilot else 'client'}: {what}")


def first_probe(run: RunView, since: float, until: float) -> Moment | None:
    """The first thing that a probe saw: a process's end, other words of health, a failed pilot."""
    found: list[Moment] = []
    pilot = first_trouble(run, since, until, pilot=True)
    if pilot is not None:
        found.append(pilot)
    for process in run.processes:
        if process.t < since:
            continue
        if isinstance(process, ProcessExited):
            found.append(Moment(process.t, f"{process.role} process exited"))
            break
        if isinstance(process, ProcessStopped) and process.stopped:
            found.append(Moment(process.t, f"{process.role} process stopped"))
            break
    usual = run.evidence.usual or "200"
    health = run.health
    other = health.saying(lambda probe: health_text(probe) != usual)
    changed = health.first(other & (since <= health.t) & (health.t <= until))
    if changed is not None:
        found.append(Moment(changed.t, f"health: {health_text(changed)}"))
    return min(found, key=lambda m: m.at, default=None)


def stages(
    run: RunView,
    detected: Moment | None,
    first_success: float | None,
    window: Window | None,
) -> dict[str, Moment | None]:
    """Every stage of ``STAGES``; None where it never happened or nobody could see it."""
    out: dict[str, Moment | None] = dict.fromkeys(STAGES)
    since = run.first_injection
    if since is None or detected is None:
        return out
    out["detected"] = detected
    gone = next(
        (
            e
            for e in run.processes
            if isinstance(e, ProcessExited) and e.t >= since and e.role in _SERVING
        ),
        None,
    )
    back = None if gone is None else _back(run, gone.t, window)
    if gone is not None:
        out["process_gone"] = Moment(gone.t, f"{gone.role}, {gone.source}")
    if back is not None:
        out["process_back"] = Moment(back.t, f"server, {back.source}")
    token: Moment | None = None
    if back is not None and window is not None and back.t > window.at:
        # A spare served meanwhile: what clients and probes get says nothing of this one.
        out["health"] = _container_healthy(run, back)
    else:
        after = back.t if back is not None else None
        out["port_open"] = _answered(run, since, after, gone is not None, any_status=True)
        out["health"] = _answered(run, since, after, gone is not None, any_status=False)
        token = _first_token(run, after) if after is not None else None
    if token is None and first_success is not None and (gone is None or back is not None):
        token = Moment(first_success, "client or pilot")
    out["first_token"] = token
    if window is not None:
        span = format_duration(window.last.sent - window.first.sent)
        out["sustained"] = Moment(
            window.at, f"{window.successes} successes of clients in the {span} from here"
        )
    if back is not None:
        out["cache_warm"] = _cache_warm(run, back.t)
    return out


def _cache_warm(run: RunView, back: float) -> Moment | None:
    """The first scrape of the new process since whose predecessor the prefix cache was hit as
    often as in the baseline; None where it was not used, or nobody looked."""
    scrapes = run.metrics(_QUERIES, _HITS)
    span = run.phase("baseline")
    if span is None or span.end is None:
        return None
    before = [s for s in scrapes if span.start <= s[0] <= span.end]
    usual = _hits(before[0], before[-1]) if before else None
    if usual is None or usual < _LEAST_HITS:
        return None
    for sooner, later in pairwise(s for s in scrapes if s[0] >= back):
        found = _hits(sooner, later)
        if found is not None and found >= _WARM * usual:
            said = f"vLLM's metrics: {format_share(round(found, 2))} of prompt tokens from the"
            return Moment(later[0], f"{said} prefix cache, {format_share(round(usual, 2))} before")
    return None


def _hits(sooner: tuple[float, ...], later: tuple[float, ...]) -> float | None:
    asked = later[1] - sooner[1]
    return (later[2] - sooner[2]) / asked if asked > 0 else None


def _back(run: RunView, gone: float, window: Window | None) -> ProcessStarted | None:
    """The start of the process that served the window; where a spare served it, the first start
    of another after the end."""
    starts = [e for e in run.server_starts if e.t >= gone]
    if window is None:
        return starts[-1] if starts else None
    before = [e for e in starts if e.t <= window.at]
    return before[-1] if before else next(iter(starts), None)


def _container_healthy(run: RunView, back: ProcessStarted) -> Moment | None:
    """When Docker's health check first passed in the container that was started again."""
    for event in run.all(ContainerEvent):
        if event.t >= back.t and (event.container, event.word) == (back.title, "healthy"):
            return Moment(event.t, "Docker's health check")
    return None


def _answered(
    run: RunView, since: float, after: float | None, gone: bool, *, any_status: bool
) -> Moment | None:
    """The first answer of health (any, or 200) of the new process; where no process went, the
    first after health had stopped to answer so."""
    health = run.health
    answers = health.saying(
        lambda probe: probe.status is not None if any_status else probe.status == 200
    )
    if after is None:
        if gone:
            return None
        lost = health.first((health.sent >= since) & ~answers)
        if lost is None:
            return None
        after = lost.t
    found = health.first((health.sent >= after) & answers)
    return None if found is None else Moment(found.t, f"health probe: {found.status}")


def _first_token(run: RunView, after: float) -> Moment | None:
    good = run.requests.ok
    good = good.pick(good.known >= after)
    if not good:
        return None
    first = good[int(np.argmin(good.known))]
    return Moment(first.known, "pilot" if first.workload == PILOT else "client")
