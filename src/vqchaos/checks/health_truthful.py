"""``health_truthful``: does health say what a real request finds?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.arrays import np
from vqchaos.checks.base import Check, Result
from vqchaos.checks.wording import after_injection, plural
from vqchaos.units import Duration, format_duration
from vqchaos.view import RunView
from vqchaos.view.truth import Lie, lies

_LEAST = 3
_WORDS = {
    "dead_200": "health said 200 for {time} while nothing was served",
    "serving_not_200": "health said {said} for {time} while the pilot was served",
    "old_200": "health said 200 for {time} from a process older than the restart",
}


class HealthTruthful(Check):
    """Both directions, asked on the same path as health. A lie longer than ``within`` fails."""

    summary: ClassVar[str] = "health says 200 when and only when tokens are served"
    observes: ClassVar[str] = "the longest time that health lied"
    units: ClassVar[tuple[str, ...]] = ("s",)

    type: Literal["health_truthful"] = "health_truthful"
    within: Duration = Field(default=5.0, description="The longest lie that passes")

    def describe(self) -> str:
        return f"health tells the truth within {format_duration(self.within)}"

    def judge(self, run: RunView) -> Result:
        since, until = run.first_injection, run.watched_until
        if since is None:
            return Result("unknown", "nothing was injected", None, self.within, "s")
        samples, pilots = (
            int(np.count_nonzero((since <= at) & (at <= until)))
            for at in (run.health.t, run.pilots.ended)
        )
        if samples < _LEAST or pilots < _LEAST:
            few = f"{plural(samples, 'health sample')}, {plural(pilots, 'pilot')}"
            return Result("unknown", f"too few to tell: {few}", None, self.within, "s")
        # A single sample may have been on its way while the truth changed.
        found = [lie for lie in lies(run, since, until) if lie.samples > 1]
        longest = max((lie.duration for lie in found), default=0.0)
        observed = round(longest, 3)
        long = [lie for lie in found if lie.duration > self.within]
        limit = format_duration(self.within)
        if not long:
            said = "health never lied" if not found else f"no lie longer than {limit}"
            short = f" (the longest {format_duration(longest)})" if found else ""
            return Result(
                "pass",
                f"{said}{short} in {plural(samples, 'sample')} beside {plural(pilots, 'pilot')}",
                observed,
                self.within,
                "s",
            )
        findings = [f"{_say(lie)}, from {after_injection(run, lie.start)} on" for lie in long]
        worst = max(long, key=lambda lie: lie.duration)
        more = f"; and {plural(len(long) - 1, 'more lie')}" if len(long) > 1 else ""
        why = f"{_say(worst)}, from {after_injection(run, worst.start)} on, limit {limit}{more}"
        return Result("fail", why, observed, self.within, "s", findings)


def _say(lie: Lie) -> str:
    return _WORDS[lie.kind].format(time=format_duration(lie.duration), said=lie.said)
