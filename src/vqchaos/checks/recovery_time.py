"""``recovery_time``: how long until clients were served again, lastingly."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vqchaos.checks.base import Check, Result
from vqchaos.recovery import STAGES, Recovery, recover
from vqchaos.units import Duration, format_duration
from vqchaos.view import RunView


class RecoveryTime(Check):
    """Never recovered within the time watched: fail if that was longer than ``max``."""

    summary: ClassVar[str] = "recovered within a time, from the last revert or injection"
    observes: ClassVar[str] = "the recovery time; of a run that did not recover, the time watched"
    units: ClassVar[tuple[str, ...]] = ("s",)

    type: Literal["recovery_time"] = "recovery_time"
    max: Duration = Field(description="The longest recovery that passes")
    from_: Annotated[
        Literal["injection", "revert", "anchor"],
        Field(
            alias="from",
            description="anchor: the last revert if any fault was held, else the last injection",
        ),
    ] = "anchor"

    def describe(self) -> str:
        since = "" if self.from_ == "anchor" else f" after the last {self.from_}"
        return f"recovered within {format_duration(self.max)}{since}"

    def judge(self, run: RunView) -> Result:
        found = recover(run)
        value = found.since(self.from_)
        limit = format_duration(self.max)

        def result(verdict: Literal["pass", "unknown", "fail"], why: str) -> Result:
            observed = None if value is None else round(value, 3)
            return Result(verdict, why, observed, self.max, "s")

        if found.impact is None:
            return result("unknown", "nothing was injected, so there is nothing to recover from")
        since = found.anchor if self.from_ == "anchor" else self.from_
        if value is None:
            return result("unknown", "no held fault was reverted: count `from: injection` instead")
        said = format_duration(value)
        if found.impact == "none":
            return result("pass", "no client and no pilot saw any impact")
        if found.censored:
            last = _last_stage(found)
            if value > self.max:
                return result(
                    "fail", f"not recovered {said} after the last {since}, limit {limit}; {last}"
                )
            return result(
                "unknown",
                f"not recovered yet when the run ended, {said} after the last {since}; the limit "
                f"is {limit}: raise `phases.recovery`; {last}",
            )
        relapses = ""
        if found.relapses:
            times = "once" if found.relapses == 1 else f"{found.relapses} times"
            relapses = f", after it had relapsed {times}"
        if value > self.max:
            return result(
                "fail", f"{said} after the last {since}{relapses}, limit {limit}; {_longest(found)}"
            )
        return result("pass", f"{said} after the last {since}{relapses}, limit {limit}")


def _reached(found: Recovery) -> list[tuple[str, float]]:
    return sorted(
        (
            (s.replace("_", " "), m.at)
            for s in STAGES
            if s != "cache_warm" and (m := found.phases[s]) is not None  # it comes after recovery
        ),
        key=lambda item: item[1],
    )


def _last_stage(found: Recovery) -> str:
    reached = _reached(found)
    if not reached or found.injected_at is None:
        return "no stage of recovery was seen"
    name, at = reached[-1]
    return f"the last thing seen: {name}, {format_duration(at - found.injected_at)} after injection"


def _longest(found: Recovery) -> str:
    reached = _reached(found)
    if found.injected_at is None or not reached:
        return "no stage of recovery was seen"
    moments = [("injection", found.injected_at), *reached]
    steps = [
        (later - sooner, before, after) for (before, sooner), (after, later) in pairwise(moments)
    ]
    seconds, before, after = max(steps)
    return f"longest part: {before} to {after}, {format_duration(seconds)}"
