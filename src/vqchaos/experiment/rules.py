"""What no single value shows: the parts of an experiment against each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vqchaos.experiment.model import Experiment
from vqchaos.history.events import CANARY, PILOT
from vqchaos.units import format_duration, format_share
from vqchaos.view.faults import EXTERNAL
from vqchaos.yamlfile import Step

LEAST_EVERY = 1.0  # seconds; an injection and its proof take tens of milliseconds
Broken = tuple[tuple[Step, ...], str]


def broken_rules(experiment: Experiment) -> list[Broken]:
    """Each with the path of the value at fault."""
    return [
        *_workloads(experiment),
        *_stop_rules(experiment),
        *_names(experiment),
        *_times(experiment),
        *_checks(experiment),
    ]


def _workloads(experiment: Experiment) -> Iterator[Broken]:
    if experiment.workload is not None and experiment.workloads is not None:
        yield ("workload",), "workload and workloads: expected one of them"
    for name in experiment.workloads or {}:
        if name in (PILOT, CANARY):
            yield ("workloads", name), f"workloads: '{name}' is the name of a probe; take another"


def _names(experiment: Experiment) -> Iterator[Broken]:
    named = {
        "faults": [fault.name or fault.type for fault in experiment.faults],
        "checks": [check.name or check.type for check in experiment.checks],
    }
    for key, names in named.items():
        seen: dict[str, int] = {}
        for index, name in enumerate(names):
            if name in seen:
                yield (
                    (key, index),
                    f"{key}[{index}] is called '{name}' like {key}[{seen[name]}]: give it a `name`",
                )
            else:
                seen[name] = index


def _times(experiment: Experiment) -> Iterator[Broken]:
    limit = experiment.phases.fault
    for index, fault in enumerate(experiment.faults):
        path: tuple[Step, ...] = ("faults", index)
        if fault.at >= limit:
            yield (
                (*path, "at"),
                f"faults[{index}].at: {format_duration(fault.at)} is not within the fault phase of "
                f"{format_duration(limit)}",
            )
        elif fault.for_ is not None and _sum(fault.at, fault.for_) > limit:
            yield (
                (*path, "for"),
                f"faults[{index}].for: ends after the fault phase of {format_duration(limit)}",
            )
        if fault.for_ is not None and not fault.is_held:
            yield (*path, "for"), f"faults[{index}].for: {fault.type} is instant; it has no end"
        yield from _repeats(experiment, index)
    startup = [index for index, fault in enumerate(experiment.faults) if fault.startup]
    if len(startup) > 1:
        yield (
            ("faults", startup[1]),
            "two faults of the same start: they cannot be told apart; take two experiments",
        )


def _repeats(experiment: Experiment, index: int) -> Iterator[Broken]:
    fault = experiment.faults[index]
    every, key = fault.every, f"faults[{index}].every"
    if every is None:
        return
    problem = None
    if fault.startup or fault.type == EXTERNAL:
        problem = f"{fault.type} cannot be repeated within a run; take `repeat` of the experiment"
    elif every < LEAST_EVERY:
        problem = f"expected at least {format_duration(LEAST_EVERY)}"
    elif fault.is_held and fault.for_ is None:
        problem = "a held fault that is repeated needs `for`, else its first time never ends"
    elif fault.for_ is not None and fault.for_ >= every:
        problem = f"must be longer than `for` ({format_duration(fault.for_)})"
    elif _sum(fault.at, every) >= experiment.phases.fault:
        limit = format_duration(experiment.phases.fault)
        problem = f"the fault phase of {limit} ends before the second time"
    if problem is not None:
        yield ("faults", index, "every"), f"{key}: {problem}"


def _sum(one: float, other: float) -> float:
    """To the nanosecond: 0.1 s and 0.2 s are 0.3 s, and not after their end."""
    return round(one + other, 9)


def _stop_rules(experiment: Experiment) -> Iterator[Broken]:
    names = set(experiment.traffic())
    for index, rule in enumerate(experiment.abort_when):
        if rule.workload is not None and rule.workload not in names:
            known = ", ".join(sorted(names))
            text = f"there is no '{rule.workload}'; there is {known}"
            yield ("abort_when", index, "workload"), f"abort_when[{index}].workload: {text}"


def _checks(experiment: Experiment) -> Iterator[Broken]:
    names = set(experiment.traffic())
    phases = experiment.phases
    for index, check in enumerate(experiment.checks):
        path: tuple[Step, ...] = ("checks", index)
        workload = getattr(check, "workload", None)
        if workload is not None and workload not in names:
            known = ", ".join(sorted(names))
            yield (
                (*path, "workload"),
                f"checks[{index}].workload: there is no '{workload}'; there is {known}",
            )
        longest = getattr(check, "max", None)
        if check.type == "recovery_time" and longest is not None and longest > phases.recovery:
            yield (
                (*path, "max"),
                f"checks[{index}].max: {format_duration(longest)} cannot be observed: "
                f"phases.recovery ends after {format_duration(phases.recovery)}",
            )
        yield from _shares(experiment, index)


def _shares(experiment: Experiment, index: int) -> Iterator[Broken]:
    """A share that the planned number of requests cannot show."""
    check = experiment.checks[index]
    phase = getattr(check, "phase", None)
    shares: list[tuple[Sequence[Step], float]] = []
    if check.type in ("availability", "neighbour_unharmed"):
        shares.append((("min",), float(getattr(check, "min", 0.0))))
    elif check.type == "outcomes":
        found = getattr(check, "share", None) or {}
        shares += [(("share", name), float(value)) for name, value in found.items()]
    held = any(fault.startup for fault in experiment.faults)
    if phase in (None, "all", "recovery") or (held and phase == "fault"):
        return  # these end early: nobody knows how many requests they will see
    seconds = float(getattr(experiment.phases, phase))
    wanted = getattr(check, "workload", None)
    rate = sum(w.rate for name, w in experiment.traffic().items() if wanted in (None, name))
    for steps, share in shares:
        if not 0 < share < 1:
            continue
        rest = 1 - share if steps[-1] in ("min", "ok") else share
        needed = math.ceil(round(1 / rest, 6))
        if rate * seconds < needed:
            yield (
                ("checks", index, *steps),
                f"checks[{index}]: {format_share(share)} needs at least {needed} requests in the "
                f"{phase} phase; {rate:g}/s for {format_duration(seconds)} are {rate * seconds:g}",
            )
