"""``availability``: the share of requests that ended ``ok``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.checks.base import OF_REPLICA, Check, Phase, ReplicaName, Result
from vqchaos.checks.wording import counted, first_of, never_answered, plural, where
from vqchaos.stats import samples_for
from vqchaos.units import Share, format_share
from vqchaos.view import RunView


class Availability(Check):
    """Requests that vqchaos cancelled are in no share. With ``replica``, only requests that it
    answered: one that nobody answered is nobody's."""

    summary: ClassVar[str] = "the share of requests that ended ok, by phase"
    observes: ClassVar[str] = "the share of requests that ended ok"
    units: ClassVar[tuple[str, ...]] = ("share",)

    type: Literal["availability"] = "availability"
    min: Share = Field(description="The least share of ok that passes")
    phase: Phase | Literal["all"] = Field(default="fault", description="all: the whole run")
    workload: str | None = Field(default=None, description="null: all of them together")
    replica: ReplicaName | None = Field(default=None, description=OF_REPLICA)
    in_flight: Literal["count", "apart"] = Field(
        default="count", description="apart: requests on their way at the injection are in no share"
    )

    def describe(self) -> str:
        return f"at least {format_share(self.min)} ok in {self._place()}"

    def requests_needed(self) -> int:
        return samples_for(self.min)

    def judge(self, run: RunView) -> Result:
        if why := never_answered(run, self.replica):
            return Result("unknown", why, None, self.min, "share")
        chosen = run.select(self.phase, self.workload, self.replica)
        apart, requests = chosen.pick(slice(0)), chosen
        if self.in_flight == "apart":
            under_way = run.were_in_flight(chosen)
            apart, requests = chosen.pick(under_way), chosen.pick(~under_way)
        place, total = self._place(), len(requests)
        if not total:
            return Result("unknown", f"no request in {place}", None, self.min, "share")
        bad = requests.where(lambda kind: kind.outcome != "ok")
        share = (total - len(bad)) / total
        observed = round(share, 6)
        limit = format_share(self.min)
        if total < self.requests_needed():
            return Result(
                "unknown",
                f"{plural(total, 'request')} in {place}: {limit} cannot be told from less than "
                f"{self.requests_needed()} (raise `rate` or the phase)",
                observed,
                self.min,
                "share",
            )
        text = f"{format_share(share)} of {plural(total, 'request')} ok in {place}, limit {limit}"
        if apart:
            text += f" (apart: {plural(len(apart), 'request')} in flight, {counted(apart)})"
        if share >= self.min:
            return Result("pass", text, observed, self.min, "share")
        why = f"{text}: {counted(bad)}; {first_of(bad)}"
        return Result("fail", why, observed, self.min, "share")

    def _place(self) -> str:
        return where(self.phase, self.workload, self.replica)
