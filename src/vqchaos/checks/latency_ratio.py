"""``latency_ratio``: how much slower than in the baseline."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vqchaos.checks.base import OF_REPLICA, Check, Phase, ReplicaName, Result
from vqchaos.checks.wording import never_answered, plural, ratio, where
from vqchaos.stats import samples_for
from vqchaos.units import format_duration
from vqchaos.view import Figures, RunView, figures

_LEAST = 5
_NAMES = {"ttft": "first token", "itl": "time between tokens", "e2e": "whole answer"}


class LatencyRatio(Check):
    """Of the requests that ended ok. Each workload against its own baseline; the worst counts for
    ``max``, the best for ``min``."""

    summary: ClassVar[str] = "first token, token gaps or whole answers against the baseline"
    observes: ClassVar[str] = "the phase's time over the baseline's"
    units: ClassVar[tuple[str, ...]] = ("ratio",)

    type: Literal["latency_ratio"] = "latency_ratio"
    metric: Literal["ttft", "itl", "e2e"] = Field(
        default="ttft",
        description="First token (ttft), gap between tokens (itl), whole answer (e2e)",
    )
    quantile: Literal["p50", "p95"] = Field(default="p95", description="Of that time")
    max: Annotated[float | None, Field(gt=0, description="The highest ratio that passes")] = None
    min: Annotated[
        float | None, Field(gt=0, description="The lowest: proves that the fault was felt")
    ] = None
    phase: Phase = Field(default="fault", description="Which phase is compared with the baseline")
    workload: str | None = Field(default=None, description="null: each of them")
    replica: ReplicaName | None = Field(
        default=None, description=f"{OF_REPLICA}, against its own baseline"
    )

    @model_validator(mode="after")
    def _a_limit(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError("expected `max`, `min` or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError("`min` must not be above `max`")
        return self

    def describe(self) -> str:
        what = f"{self.metric} {self.quantile} in {where(self.phase, self.workload, self.replica)}"
        return f"{what}: {self._limit()} the baseline's"

    def requests_needed(self) -> int:
        return max(_LEAST, samples_for(0.95 if self.quantile == "p95" else 0.5))

    def judge(self, run: RunView) -> Result:
        if why := never_answered(run, self.replica):
            return Result("unknown", why, None, self._limit(), "ratio")
        names = [self.workload] if self.workload is not None else run.workloads
        found: list[tuple[float, str]] = []
        for name in names:
            before = run.baseline(name, self.replica)
            during = figures(run.select(self.phase, name, self.replica))
            value, why = self._ratio(name, before, during)
            if value is None:
                return Result("unknown", why, None, self._limit(), "ratio")
            found.append((value, why))
        if not found:
            return Result("unknown", "no workload", None, self._limit(), "ratio")
        high, low = max(found), min(found)
        if self.max is not None and high[0] > self.max:
            return self._result("fail", high)
        if self.min is not None and low[0] < self.min:
            return self._result("fail", low)
        return self._result("pass", high if self.max is not None else low)

    def _ratio(self, name: str, before: Figures, during: Figures) -> tuple[float | None, str]:
        base = before.get(self.metric, self.quantile)
        value = during.get(self.metric, self.quantile)
        place = where(self.phase, name, self.replica)
        for figure, where_ in ((before, where("baseline", name, self.replica)), (during, place)):
            # Gaps come by the dozen a request: they are what is counted where they are measured.
            count = figure.gaps if self.metric == "itl" else figure.count
            if count < self.requests_needed():
                what = plural(count, "token gap" if self.metric == "itl" else "answer")
                why = f"{what} in {where_}, {self.quantile} needs {self.requests_needed()}"
                return None, why
        if not base or value is None:
            return None, f"no {_NAMES[self.metric]} was measured in {place}"
        text = (
            f"{_NAMES[self.metric]} {self.quantile} {format_duration(value)} in {place}, "
            f"{ratio(value / base)} the baseline's {format_duration(base)}, "
            f"limit {self._limit()}"
        )
        return value / base, text

    def _result(self, verdict: Literal["pass", "fail"], found: tuple[float, str]) -> Result:
        limit = self.max if self.max is not None else self.min
        return Result(verdict, found[1], round(found[0], 3), limit, "ratio")

    def _limit(self) -> str:
        parts = []
        if self.min is not None:
            parts.append(f"at least {self.min:g}x")
        if self.max is not None:
            parts.append(f"at most {self.max:g}x")
        return " and ".join(parts)
