"""Two groups of runs compared: has the new one regressed? Pure.

Each line of the comparison is ``same`` (no regression beyond the limit), ``regression`` or
``unclear``; where the interval of the difference holds the limit, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vqchaos.errors import ExitCode, UsageError
from vqchaos.stats import (
    LEAST_FOR_INTERVAL,
    design_effect,
    log_rank,
    median_difference,
    median_of,
    median_ratio,
    repeats_for,
    share_difference,
)
from vqchaos.summary import groups_of, recovery_times
from vqchaos.units import format_share, parse_duration, parse_share

SCHEMA = 1
Verdicts = Sequence[Mapping[str, Any]]
_SIGNIFICANT = 0.05
_CODES = {"same": ExitCode.PASS, "regression": ExitCode.FAIL, "unclear": ExitCode.UNKNOWN}
_WORST = ("same", "unclear", "regression")
_LATENCY_LIMIT = 0.1
_MANY = 1000  # more runs than that are not worth proposing


@dataclass(frozen=True, slots=True)
class Limit:
    """How much slower still counts as no regression: a share of the base, or seconds."""

    share: float | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Limit:
        """``10%`` or ``2s``. Raises UsageError."""
        try:
            if text.strip().endswith("%"):
                return cls(share=parse_share(text))
            return cls(seconds=parse_duration(text))
        except ValueError as error:
            raise UsageError(
                f"--max-regression {text}: expected a share such as 10% or a duration such as 2s"
            ) from error

    def of(self, base: float) -> float:
        """In seconds."""
        return self.seconds if self.seconds is not None else (self.share or 0.0) * base

    def __str__(self) -> str:
        return format_share(self.share or 0.0) if self.seconds is None else f"{self.seconds:g}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing compared. ``change`` and ``interval`` are in ``unit`` (s, ratio, share), new
    against base; ``more``: about how many more runs on either side would tell."""

    experiment: str
    what: str
    state: str
    base: float | None = None
    new: float | None = None
    change: float | None = None
    interval: tuple[float | None, float | None] | None = None
    unit: str = "s"
    why: str = ""
    more: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two groups of runs came to; ``notes`` name what makes them hard to compare."""

    state: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        return _CODES[self.state]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "schema": SCHEMA,
            "state": self.state,
            "exit_code": int(self.exit_code),
            "lines": [asdict(line) for line in self.lines],
            "notes": self.notes,
        }


def compare(
    base: Verdicts,
    new: Verdicts,
    limit: Limit,
    *,
    max_drop: float = 0.05,
    allow_different: bool = False,
) -> Comparison:
    """``base`` and ``new`` are verdict.json contents in their order. ``max_drop`` is the loss of
    availability that is accepted (a share). Experiments whose content differs, or that only one
    side ran, are ``unclear`` unless ``allow_different``."""
    ours, theirs = groups_of(base), groups_of(new)
    common = [name for name in ours if name in theirs]
    notes, apart = _differences(ours, theirs)
    lines = [
        line
        for name in common
        for line in _experiment(name, ours[name], theirs[name], limit, max_drop)
    ]
    states = [line.state for line in lines]
    if not common or (apart and not allow_different):
        states.append("unclear")
    state = max(states, key=_WORST.index)
    return Comparison(state=state, lines=lines, notes=notes)


def _differences(
    base: Mapping[str, Verdicts], new: Mapping[str, Verdicts]
) -> tuple[list[str], bool]:
    """(what is not alike, whether that forbids a conclusion)."""
    notes = [f"experiment '{n}' was run in BASE only" for n in base if n not in new]
    notes += [f"experiment '{n}' was run in NEW only" for n in new if n not in base]
    for name in base:
        if name in new and (said := _digests(base[name], new[name], "experiment_digest")):
            notes.append(f"experiment '{name}' is not the same in BASE and NEW: {said}")
    apart = bool(notes)
    all_base = [v for group in base.values() for v in group]
    all_new = [v for group in new.values() for v in group]
    if said := _digests(all_base, all_new, "stack_digest"):
        notes.append(f"the stacks differ: {said}")
    for side, group in (("BASE", all_base), ("NEW", all_new)):
        if void := sum(not v["valid"] for v in group):
            notes.append(f"{void} of {len(group)} runs in {side} are void and not compared")
    return notes, apart


def _digests(base: Verdicts, new: Verdicts, key: str) -> str:
    ours, theirs = ({str(v.get(key)) for v in side} for side in (base, new))
    if ours == theirs and len(ours) <= 1:
        return ""
    shown = [", ".join(sorted(d.removeprefix("sha256:")[:8] for d in s)) for s in (ours, theirs)]
    return f"{key.replace('_', ' ')} {shown[0]} in BASE, {shown[1]} in NEW"


def _experiment(
    name: str, base: Verdicts, new: Verdicts, limit: Limit, max_drop: float
) -> Iterator[Line]:
    ours, theirs = ([v for v in side if v["valid"]] for side in (base, new))
    yield _recovery(name, recovery_times(ours), recovery_times(theirs), limit)
    if (line := _passed(name, ours, theirs)) is not None:
        yield line
    if (line := _availability(name, ours, theirs, max_drop)) is not None:
        yield line
    accepted = _LATENCY_LIMIT if limit.share is None else limit.share
    yield from _latency(name, ours, theirs, accepted)


def _recovery(
    name: str,
    base: Sequence[tuple[float, bool]],
    new: Sequence[tuple[float, bool]],
    limit: Limit,
) -> Line:
    medians = [median_of([t for t, _ in side], [c for _, c in side]) for side in (base, new)]
    facts: dict[str, Any] = {
        "experiment": name, "what": "recovery time", "base": medians[0], "new": medians[1],
    }  # fmt: skip
    sizes = (len(base), len(new))
    if min(sizes) < LEAST_FOR_INTERVAL:
        return Line(**facts, state="unclear", **_too_few(sizes))
    interval = median_difference(base, new)
    facts["interval"] = interval
    low, high = interval or (None, None)
    allowed = None if medians[0] is None else limit.of(medians[0])
    if medians[0] is not None and medians[1] is not None:
        facts["change"] = medians[1] - medians[0]
    ranked = log_rank(base, new) if any(c for _, c in [*base, *new]) else None
    stuck = [sum(c for _, c in side) / len(side) for side in (base, new)]
    if ranked is not None and ranked[0] < _SIGNIFICANT and ranked[1] and stuck[1] > stuck[0]:
        why = f"recovers later or never (log-rank test, p = {ranked[0]:.2g})"
        return Line(**facts, state="regression", why=why)
    if low is not None and allowed is not None and low > allowed:
        return Line(**facts, state="regression", why=f"slower by more than {limit}")
    if stuck[1] > stuck[0]:
        why = f"more runs did not recover in NEW ({format_share(stuck[1])}, {_p(ranked)})"
        return Line(**facts, state="unclear", why=why)
    if high is not None and allowed is not None and high <= allowed:
        return Line(**facts, state="same", why=f"not slower by more than {limit}")
    if high is None or low is None or allowed is None:
        why = "too many runs did not recover in the time watched to know the median"
        return Line(**facts, state="unclear", why=why)
    return Line(**facts, state="unclear", **_undecided(sizes, (low, high), allowed))


def _p(ranked: tuple[float, bool] | None) -> str:
    return "nothing to test" if ranked is None else f"log-rank test, p = {ranked[0]:.2g}"


def _passed(name: str, base: Verdicts, new: Verdicts) -> Line | None:
    """The share of runs that did not fail; None where none failed more than before."""
    counts = [(sum(v["verdict"] != "fail" for v in side), len(side)) for side in (base, new)]
    if not counts[0][1] or not counts[1][1]:
        return None
    shares = [yes / of for yes, of in counts]
    interval = share_difference(counts[0], counts[1])
    if shares[1] >= shares[0] or interval is None:
        return None
    state = "regression" if interval[1] < 0 else "unclear"
    why = f"{counts[1][1] - counts[1][0]} of {counts[1][1]} runs in NEW fail their checks"
    return Line(
        experiment=name, what="runs not failed", state=state, base=shares[0], new=shares[1],
        change=shares[1] - shares[0], interval=interval, unit="share", why=why,
    )  # fmt: skip


def _availability(name: str, base: Verdicts, new: Verdicts, max_drop: float) -> Line | None:
    """Of the clients' requests in the fault phase, which is as long in every run."""
    groups = [[_fault_requests(v) for v in side] for side in (base, new)]
    totals = [(sum(y for y, _ in g), sum(n for _, n in g)) for g in groups]
    if not totals[0][1] or not totals[1][1]:
        return None
    # Requests of one run fail together: each counts as less than one.
    effective = [
        (yes / effect, of / effect)
        for (yes, of), effect in zip(totals, map(design_effect, groups), strict=True)
    ]
    interval = share_difference(effective[0], effective[1])
    shares = [yes / of for yes, of in totals]
    facts: dict[str, Any] = {
        "experiment": name, "what": "availability under the fault", "base": shares[0],
        "new": shares[1], "change": shares[1] - shares[0], "interval": interval, "unit": "share",
    }  # fmt: skip
    sizes = (len(base), len(new))
    if interval is None or min(sizes) < 2:
        return Line(**facts, state="unclear", **_too_few(sizes, least=2))
    said = format_share(max_drop)
    if interval[1] < -max_drop:
        return Line(**facts, state="regression", why=f"lower by more than {said}")
    if interval[0] >= -max_drop:
        return Line(**facts, state="same", why=f"not lower by more than {said}")
    turned = (-interval[1], -interval[0])
    return Line(**facts, state="unclear", **_undecided(sizes, turned, max_drop))


def _fault_requests(verdict: Mapping[str, Any]) -> tuple[int, int]:
    yes = of = 0
    for workload, phases in verdict["outcomes"].items():
        found = phases.get("fault", {})
        if workload != "pilot":
            yes += found.get("ok", 0)
            of += sum(n for outcome, n in found.items() if outcome != "cancelled")
    return yes, of


def _latency(name: str, base: Verdicts, new: Verdicts, accepted: float) -> Iterator[Line]:
    """First tokens without a fault, a figure a run."""
    workloads = dict.fromkeys(w for v in base for w in v["latency"] if w != "pilot")
    for workload in workloads:
        for key in ("ttft_p50", "ttft_p95"):
            values = [
                [
                    float(figure)
                    for v in side
                    if (figure := v["latency"].get(workload, {}).get("baseline", {}).get(key))
                ]
                for side in (base, new)
            ]
            if values[0] and values[1]:
                what = f"{key.replace('ttft_', 'first token ')} of '{workload}', no fault"
                yield _ratio(name, what, values[0], values[1], accepted)


def _ratio(
    name: str, what: str, base: Sequence[float], new: Sequence[float], accepted: float
) -> Line:
    medians = [median_of(side) or 0.0 for side in (base, new)]
    interval = median_ratio(base, new)
    facts: dict[str, Any] = {
        "experiment": name, "what": what, "base": medians[0], "new": medians[1],
        "change": medians[1] / medians[0], "interval": interval, "unit": "ratio",
    }  # fmt: skip
    sizes, limit = (len(base), len(new)), 1 + accepted
    if interval is None or interval[0] is None or interval[1] is None:
        return Line(**facts, state="unclear", **_too_few(sizes))
    if interval[0] > limit:
        return Line(**facts, state="regression", why=f"over {limit:.2f} times as late")
    if interval[1] <= limit:
        return Line(**facts, state="same", why=f"at most {limit:.2f} times as late")
    return Line(**facts, state="unclear", **_undecided(sizes, (interval[0], interval[1]), limit))


def _too_few(sizes: tuple[int, int], least: int = LEAST_FOR_INTERVAL) -> dict[str, Any]:
    more = max(1, least - min(sizes))
    why = f"n is too small: {sizes[0]} and {sizes[1]} valid runs, at least {least} each are needed"
    return {"why": why, "more": more}


def _undecided(
    sizes: tuple[int, int], interval: tuple[float, float], limit: float
) -> dict[str, Any]:
    """N is too small: how many more runs would bring the interval to one side of the limit, if the
    difference is what it seems."""
    low, high = interval
    half, distance = (high - low) / 2, abs(limit - (low + high) / 2)
    fewest = min(sizes)
    wanted = max(distance, half / 100)
    total = repeats_for(max(fewest, LEAST_FOR_INTERVAL), half, wanted * 0.999)
    if total is None or total - fewest > _MANY:
        return {"why": "the difference is about as large as the limit: more runs hardly help"}
    return {"why": "n is too small", "more": max(1, total - fewest)}
