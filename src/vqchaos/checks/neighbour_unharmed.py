"""``neighbour_unharmed``: what the fault did not touch serves on, and as fast as before."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vqchaos.checks.base import Check, Phase, ReplicaName, Result, Verdict
from vqchaos.checks.wording import counted, first_of, never_answered, plural, ratio, where
from vqchaos.stats import samples_for
from vqchaos.units import Share, format_duration, format_share
from vqchaos.view import RunView, figures

_LEAST = 5  # answers, before and during, for a median
_FOR_P95 = 40


class NeighbourUnharmed(Check):
    """Of what this replica answered, or of this workload's requests, in the fault phase: enough
    ended ok, and the first token came at most ``slowdown`` times as late as in its own baseline
    (p95 from 40 answers on, else the median). What a router sent here again brings the time that
    it lost elsewhere: a workload on an ``endpoint`` of the neighbour sees the neighbour alone."""

    summary: ClassVar[str] = "an untouched replica or workload serves on, as fast as before"
    observes: ClassVar[str] = (
        "the share of requests that ended ok, and the first token's time over the baseline's"
    )
    units: ClassVar[tuple[str, ...]] = ("",)
    phase: ClassVar[Phase] = "fault"

    type: Literal["neighbour_unharmed"] = "neighbour_unharmed"
    replica: ReplicaName | None = Field(
        default=None, description="What this one answered; this or `workload`"
    )
    workload: str | None = Field(default=None, description="This one's requests, whoever answered")
    min: Share = Field(default=0.99, description="The least share of ok that passes")
    slowdown: Annotated[float, Field(gt=1, description="The highest ratio that passes")] = 2.0

    @model_validator(mode="after")
    def _one_neighbour(self) -> Self:
        if (self.replica is None) == (self.workload is None):
            raise ValueError("expected exactly one of `replica` and `workload`")
        return self

    def describe(self) -> str:
        return f"in {self._place()} {self._limit()}"

    def requests_needed(self) -> int:
        return samples_for(self.min)

    def judge(self, run: RunView) -> Result:
        if why := never_answered(run, self.replica):
            return self._result("unknown", why, None)
        requests = run.select("fault", self.workload, self.replica)
        total = len(requests)
        if total < self.requests_needed():
            least = self.requests_needed()
            why = (
                f"{plural(total, 'request') if total else 'no request'} in {self._place()}: "
                f"{format_share(self.min)} cannot be told from less than {least} "
                "(raise `rate` or the phase)"
            )
            return self._result("unknown", why, None)
        bad = requests.where(lambda kind: kind.outcome != "ok")
        share = (total - len(bad)) / total
        served = f"{format_share(share)} of {plural(total, 'request')} ok in {self._place()}"
        if share < self.min:
            why = f"{served}, limit {format_share(self.min)}: {counted(bad)}; {first_of(bad)}"
            return self._result("fail", why, format_share(share))
        slower, how = self._slowest(run)
        if slower is None:
            return self._result("unknown", f"{served}, but {how}", format_share(share))
        observed = f"{format_share(share)}, {ratio(slower)}"
        verdict: Verdict = "fail" if slower > self.slowdown else "pass"
        why = f"{served}; {how}, limit {self.slowdown:g}x"
        return self._result(verdict, why, observed)

    def _slowest(self, run: RunView) -> tuple[float | None, str]:
        """The highest ratio over the workloads, and what it is; None and why it cannot be told."""
        names = run.workloads if self.workload is None else [self.workload]
        found: list[tuple[float, str]] = []
        for name in names:
            before = run.baseline(name, self.replica)
            during = figures(run.select("fault", name, self.replica))
            if not before.count and not during.count:
                continue  # this workload goes elsewhere
            for figure, phase in ((before, "baseline"), (during, "fault")):
                if figure.count < _LEAST:
                    place = where(phase, name, self.replica)
                    return None, f"{plural(figure.count, 'answer')} in {place}, {_LEAST} are needed"
            enough = min(before.count, during.count) >= _FOR_P95
            which = "p95" if enough else "p50"
            base, value = before.get("ttft", which), during.get("ttft", which)
            if not base or value is None:
                return None, f"no first token was measured in {where('fault', name, self.replica)}"
            whose = f" of workload '{name}'" if len(names) > 1 else ""
            text = (
                f"first token {which}{whose} {format_duration(value)}, {ratio(value / base)} the "
                f"baseline's {format_duration(base)}"
            )
            found.append((value / base, text))
        return max(found) if found else (None, "no answer was measured")

    def _place(self) -> str:
        return where("fault", self.workload, self.replica)

    def _limit(self) -> str:
        return f"at least {format_share(self.min)} ok, at most {self.slowdown:g}x as slow"

    def _result(self, verdict: Verdict, why: str, observed: str | None) -> Result:
        limit = f"{format_share(self.min)}, {self.slowdown:g}x"
        return Result(verdict, why, observed, limit)
