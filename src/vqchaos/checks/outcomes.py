"""``outcomes``: what requests may, must not, or must mostly end in."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vqchaos.checks.base import OF_REPLICA, Check, Phase, ReplicaName, Result
from vqchaos.checks.wording import counted, first_of, never_answered, plural, where
from vqchaos.stats import samples_for
from vqchaos.units import Share, format_share
from vqchaos.view import RunView

Outcome = Literal[
    "misrouted",
    "corrupted",
    "stream_error",
    "hung",
    "truncated",
    "reset",
    "refused",
    "shed",
    "error",
    "malformed",
    "ok",
]
CUTS = frozenset({"truncated", "stream_error", "reset"})


class Outcomes(Check):
    """Exactly one of ``allow``, ``forbid`` and ``share``."""

    summary: ClassVar[str] = "what requests may, must not, or must mostly end in, by phase"
    observes: ClassVar[str] = (
        "how many requests ended in each outcome that counts here; with `share`, their share"
    )
    units: ClassVar[tuple[str, ...]] = ("", "count", "share")

    type: Literal["outcomes"] = "outcomes"
    phase: Phase | Literal["all"] = Field(default="fault", description="all: the whole run")
    workload: str | None = Field(default=None, description="null: all of them together")
    replica: ReplicaName | None = Field(default=None, description=OF_REPLICA)
    allow: list[Outcome] | None = Field(
        default=None, description="Every other outcome fails; ok is always allowed"
    )
    forbid: Annotated[
        list[Outcome] | None, Field(min_length=1, description="One such request fails")
    ] = None
    share: Annotated[
        dict[Outcome, Share] | None,
        Field(min_length=1, description="ok: at least this share; any other: at most"),
    ] = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        given = [n for n in ("allow", "forbid", "share") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("expected exactly one of `allow`, `forbid` and `share`")
        return self

    def describe(self) -> str:
        place = self._place()
        if self.allow is not None:
            return f"in {place} only {', '.join(self._allowed())}"
        if self.forbid is not None:
            return f"in {place} nothing {', '.join(self.forbid)}"
        return f"in {place} {self._limits()}"

    def requests_needed(self) -> int:
        if self.share is None:
            return 1
        return max(samples_for(_strictness(o, limit)) for o, limit in self.share.items())

    def judge(self, run: RunView) -> Result:
        if why := never_answered(run, self.replica):
            return Result("unknown", why, limit=self._limit(), unit="count")
        requests = run.select(self.phase, self.workload, self.replica)
        place = self._place()
        if not requests:
            return Result("unknown", f"no request in {place}", limit=self._limit(), unit="count")
        if self.share is not None:
            return self._judge_share(run, self.share)
        if self.allow is not None:
            wrong = requests.where(lambda kind: kind.outcome not in self._allowed())
        else:
            wrong = requests.where(lambda kind: kind.outcome in (self.forbid or []))
        limit = self._limit()
        if wrong:
            return Result(
                "fail",
                f"{len(wrong)} of {plural(len(requests), 'request')} in {place}: "
                f"{counted(wrong)}; {first_of(wrong)}",
                counted(wrong),
                limit,
            )
        if self._about_cuts() and _instant(run) and run.in_flight_at_injection == 0:
            return Result(
                "unknown",
                "no request was in flight at the injection, so none could be cut "
                "(raise `rate` or `max_tokens`)",
                counted(requests),
                limit,
            )
        return Result("pass", f"{plural(len(requests), 'request')}: {counted(requests)}",
                      counted(requests), limit)  # fmt: skip

    def _judge_share(self, run: RunView, limits: dict[Outcome, float]) -> Result:
        requests = run.select(self.phase, self.workload, self.replica)
        place, total = self._place(), len(requests)
        counts = requests.outcomes()
        seen = {o: counts[o] / total for o in limits}
        observed = ", ".join(f"{o} {format_share(seen[o])}" for o in limits)
        needed = self.requests_needed()
        if total < needed:
            return Result(
                "unknown",
                f"{plural(total, 'request')} in {place}, but {self._limits()} cannot be told "
                f"from less than {needed} (raise `rate` or the phase)",
                observed,
                self._limits(),
                "share",
            )
        broken: list[Outcome] = [
            o for o, limit in limits.items() if (seen[o] < limit if o == "ok" else seen[o] > limit)
        ]
        text = f"{observed} of {plural(total, 'request')} in {place}, limit {self._limits()}"
        if broken:
            wrong = requests.where(
                lambda kind: kind.outcome != "ok" if "ok" in broken else kind.outcome in broken
            )
            return Result("fail", f"{text}; {first_of(wrong)}", observed, self._limits(), "share")
        return Result("pass", text, observed, self._limits(), "share")

    def _place(self) -> str:
        return where(self.phase, self.workload, self.replica)

    def _allowed(self) -> list[str]:
        return list(dict.fromkeys(["ok", *(self.allow or [])]))

    def _limit(self) -> str:
        if self.allow is not None:
            return "only " + ", ".join(self._allowed())
        return "no " + ", ".join(self.forbid or []) if self.forbid else self._limits()

    def _limits(self) -> str:
        return ", ".join(
            f"{o} {'at least' if o == 'ok' else 'at most'} {format_share(limit)}"
            for o, limit in (self.share or {}).items()
        )

    def _about_cuts(self) -> bool:
        if self.allow is not None:
            return bool(CUTS - set(self.allow))
        return bool(CUTS & set(self.forbid or []))


def _strictness(outcome: str, limit: float) -> float:
    return limit if outcome == "ok" else 1 - limit


def _instant(run: RunView) -> bool:
    return any(f.injected and not f.held for f in run.faults)
