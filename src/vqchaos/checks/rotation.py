"""``rotation``: how soon the router takes a broken replica out, and a sound one back."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from vqchaos.checks.base import Check, ReplicaName, Result, Verdict, worst
from vqchaos.history.events import ContainerEvent, RouterReplica
from vqchaos.units import Duration, format_duration
from vqchaos.view import RunView
from vqchaos.view.rotation import Turns, could_serve_again, names, own_events, turns

_Part = tuple[Verdict, str, str]  # verdict, why, observed


class Rotation(Check):
    """By the router's own statistics, read four times a second. ``out`` counts from the first
    injection; ``back`` from the replica's container being started or unpaused and, where the
    history has no such event, from the last revert: the reason says which."""

    summary: ClassVar[str] = "how soon the router takes a replica out, and back in"
    observes: ClassVar[str] = "how long until each replica was out, and back"
    units: ClassVar[tuple[str, ...]] = ("",)

    type: Literal["rotation"] = "rotation"
    replica: ReplicaName | None = Field(
        default=None, description="As the router names it; null: each that went out"
    )
    out: Duration | None = Field(default=None, description="The longest until it was out")
    back: Duration | None = Field(default=None, description="The longest until it was back")

    @model_validator(mode="after")
    def _a_limit(self) -> Self:
        if self.out is None and self.back is None:
            raise ValueError("expected `out`, `back` or both")
        return self

    def describe(self) -> str:
        who = "a replica" if self.replica is None else f"replica '{self.replica}'"
        wanted = [("out", self.out), ("back", self.back)]
        within = [f"{w} within {format_duration(most)}" for w, most in wanted if most is not None]
        return f"the router has {who} {', '.join(within)}"

    def judge(self, run: RunView) -> Result:
        events, since = run.all(RouterReplica), run.first_injection
        there = names(events)
        if not there:
            return self._unknown(
                "the history has no word of a router: `router_stats` in the stack's file says "
                "where its statistics are, and they must be there when the run begins"
            )
        if since is None:
            return self._unknown("nothing was injected")
        if self.replica is not None and self.replica not in there:
            seen = ", ".join(there)
            return self._unknown(f"the router names no replica '{self.replica}'; seen: {seen}")
        found = [turns(events, name, since) for name in there]
        if self.replica is not None:
            found = [r for r in found if r.replica == self.replica]
        elif any(r.out_at is not None for r in found):
            found = [r for r in found if r.out_at is not None]
        parts = [part for r in found for part in self._parts(run, r, since)]
        return Result(
            worst([verdict for verdict, _, _ in parts]),
            "; ".join(why for _, why, _ in parts),
            ", ".join(seen for _, _, seen in parts if seen) or None,
            self._limit(),
        )

    def _parts(self, run: RunView, found: Turns, since: float) -> list[_Part]:
        if found.was_up is not True:
            state = "out already" if found.was_up is False else "not known"
            return [("unknown", f"{found.replica} was {state} before the injection", "")]
        parts = []
        if self.out is not None:
            parts.append(self._out(run, found, since, self.out))
        if self.back is not None:
            parts.append(self._back(run, found, since, self.back))
        return parts

    def _out(self, run: RunView, found: Turns, since: float, limit: float) -> _Part:
        said, most = found.replica, format_duration(limit)
        if found.out_at is not None:
            took = found.out_at - since
            why = f"{said} was out {format_duration(took)} after the injection, limit {most}"
            return ("fail" if took > limit else "pass"), why, f"out {format_duration(took)}"
        again = could_serve_again(_own(run, found), since, None, run.last_revert)
        until, what = again or (run.watched_until, "the run was watched no longer")
        why = f"{said} was never out after the injection"
        if found.blind_since is not None:
            return "unknown", f"{why} before the router gave no word any more", ""
        if until - since < limit:
            after = format_duration(until - since)
            return "unknown", f"{why}, but {what} {after} after it already", ""
        return "fail", f"{why}, limit {most}", "never out"

    def _back(self, run: RunView, found: Turns, since: float, limit: float) -> _Part:
        said, most = found.replica, format_duration(limit)
        if found.out_at is None:
            return "unknown", f"{said} was never out, so it could not come back", ""
        again = could_serve_again(_own(run, found), since, found.back_at, run.last_revert)
        if again is None:
            why = f"the history does not say from when on {said} could serve again"
            return "unknown", why, ""
        since_when, what = again
        often = f" (it went out {found.times} times)" if found.times > 1 else ""
        if found.back_at is not None:
            took = found.back_at - since_when
            if took < 0:
                return "pass", f"{said} was back before {what}{often}, limit {most}", "back"
            why = f"{said} was back {format_duration(took)} after {what}{often}, limit {most}"
            return ("fail" if took > limit else "pass"), why, f"back {format_duration(took)}"
        end = run.watched_until if found.blind_since is None else found.blind_since
        why = (
            f"{said} was not back {format_duration(max(0.0, end - since_when))} after {what}{often}"
        )
        if end - since_when <= limit:
            return "unknown", f"{why}, when the last was seen of it; the limit is {most}", ""
        return "fail", f"{why}, limit {most}", "not back"

    def _limit(self) -> str:
        parts = []
        if self.out is not None:
            parts.append(f"out {format_duration(self.out)}")
        if self.back is not None:
            parts.append(f"back {format_duration(self.back)}")
        return ", ".join(parts)

    def _unknown(self, why: str) -> Result:
        return Result("unknown", why, None, self._limit())


def _own(run: RunView, found: Turns) -> list[ContainerEvent]:
    return own_events(run.all(ContainerEvent), found, names(run.all(RouterReplica)))
