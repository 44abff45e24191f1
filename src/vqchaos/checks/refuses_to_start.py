"""``refuses_to_start``: a start that cannot work ends fast, says why and leaves nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.checks.base import Check, Result, Verdict, worst
from vqchaos.checks.wording import plural
from vqchaos.history.events import StartAttempt
from vqchaos.units import Duration, format_duration
from vqchaos.view import RunView


class RefusesToStart(Check):
    """Every start under a start-up fault is judged."""

    summary: ClassVar[str] = (
        "a broken start exits in time, non-zero, names the cause, leaves nothing"
    )
    observes: ClassVar[str] = "the slowest refusal, from the launch of the process to its exit"
    units: ClassVar[tuple[str, ...]] = ("s",)

    type: Literal["refuses_to_start"] = "refuses_to_start"
    within: Duration = Field(description="From the launch of the process to its exit")

    def describe(self) -> str:
        return f"refuses within {format_duration(self.within)}, says why, leaves nothing"

    def judge(self, run: RunView) -> Result:
        if not run.attempts:
            return Result("unknown", "no start under a fault was seen", None, self.within, "s")
        found = [self._one(attempt) for attempt in run.attempts]
        verdict = worst([v for v, _ in found])
        why = "; ".join(text for v, text in found if v == verdict)
        slowest = max(a.t - a.started for a in run.attempts)
        return Result(verdict, why, round(slowest, 3), self.within, "s")

    def _one(self, attempt: StartAttempt) -> tuple[Verdict, str]:
        took = attempt.t - attempt.started
        said, limit = format_duration(took), format_duration(self.within)
        if attempt.outcome == "served":
            return "fail", f"it started and served after {said} instead of refusing"
        if attempt.outcome != "exited":
            return "fail", f"after {said} it neither served nor refused"
        wrong = []
        if took > self.within:
            wrong.append(f"it took {said} to refuse, limit {limit}")
        if attempt.exit_code == 0:
            wrong.append("its exit code was 0, as if all were well")
        if attempt.cause is None:
            tail = next((line.strip() for line in reversed(attempt.log_tail) if line.strip()), "")
            last = f"; its last line: {tail[:120]!r}" if tail else ""
            wrong.append(f"no line of its log names the cause{last}")
        if attempt.left:
            left = "; ".join(attempt.left[:3])
            wrong.append(f"it left {plural(len(attempt.left), 'thing')} behind: {left}")
        if wrong:
            return "fail", "; ".join(wrong)
        if attempt.exit_code is None:
            return "unknown", f"it refused after {said}, but its exit code is not known"
        cause = (attempt.cause or "").strip()[:160]
        return "pass", f"refused after {said} with exit code {attempt.exit_code}: {cause}"
