"""``canary``: are the answers to known questions what they were?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.checks.base import Check, Result
from vqchaos.checks.wording import plural
from vqchaos.history.events import LOADED, CanaryProbe
from vqchaos.view import RunView
from vqchaos.view.canaries import CanaryJudgement, against_baseline, against_golden

Moment = Literal["fault", "final", "load"]
_WHEN = {"fault": "under the fault", "final": "at the end", "load": "under load"}


class Canary(Check):
    """By default the canaries under the fault (if any ran) and at the end must equal the baseline's
    and, where there are golden answers, those; any that were asked under load must agree with
    them up to the log-probability gap that load may cause. ``expect: changed`` proves that a canary
    sees a silent corruption."""

    summary: ClassVar[str] = "answers to known questions are unchanged, token by token"
    observes: ClassVar[str] = "unchanged, changed, unanswered or garbage"
    units: ClassVar[tuple[str, ...]] = ("",)

    type: Literal["canary"] = "canary"
    moment: Moment | None = Field(default=None, description="fault, final or load; null: all")
    expect: Literal["unchanged", "changed"] = Field(
        default="unchanged", description="changed: passes if the canary sees a difference"
    )
    against: Literal["baseline", "golden"] | None = Field(
        default=None, description="null: whichever references there are"
    )

    def describe(self) -> str:
        when = "under the fault and at the end" if self.moment is None else _WHEN[self.moment]
        return f"canary answers {self.expect} {when}"

    def judge(self, run: RunView) -> Result:
        moments = ["fault", "final", LOADED] if self.moment is None else [self.moment]
        probes = [p for m in moments for p in run.canaries.get(m, [])]
        if not probes:
            when = " or ".join(_WHEN[m] for m in moments)
            return self._result("unknown", f"no canary ran {when}", None)
        judged = [j for probe in probes for j in self._compare(run, probe)]
        if any(j.state != "unanswered" for j in judged):  # under a fault load may go unanswered
            judged = [j for j in judged if j.moment != LOADED or j.state != "unanswered"]
        if not judged:
            what = self.against or "baseline or golden"
            return self._result("unknown", f"no {what} answer to compare with", None)
        changed = [j for j in judged if j.state == "changed"]
        silent = [j for j in judged if j.state == "unanswered"]
        observed = "changed" if changed else "unanswered" if silent else "unchanged"
        signs = sorted({s for p in probes for s in p.garbage})
        findings = [f"garbage in a canary's answer: {sign}" for sign in signs]
        if changed:
            verdict: Literal["pass", "fail"] = "pass" if self.expect == "changed" else "fail"
            return self._result(verdict, _say(changed, len(probes)), observed, findings)
        if silent:
            why = f"{_say(silent, len(probes), 'got no answer')}"
            return self._result("unknown", why, observed, findings)
        if self.expect == "unchanged" and findings:
            return self._result("fail", "; ".join(findings), "garbage", findings)
        same = (
            f"{plural(len(probes), 'canary answer')} as before, token by token "
            f"(against {', '.join(sorted({j.against for j in judged}))})"
        )
        if self.expect == "changed":
            return self._result("fail", f"the canary saw nothing: {same}", observed)
        return self._result("pass", same, observed)

    def _compare(self, run: RunView, probe: CanaryProbe) -> list[CanaryJudgement]:
        found: list[CanaryJudgement | None] = []
        if self.against != "baseline":
            found.append(against_golden(probe))
        if self.against != "golden":
            found.append(against_baseline(probe, run.canaries.get("baseline", [])))
        return [j for j in found if j is not None]

    def _result(
        self,
        verdict: Literal["pass", "unknown", "fail"],
        why: str,
        observed: str | None,
        findings: list[str] | None = None,
    ) -> Result:
        return Result(verdict, why, observed, self.expect, "", findings or [])


def _say(judged: list[CanaryJudgement], total: int, what: str = "differ") -> str:
    names = {(j.name, j.moment) for j in judged}
    first = judged[0]
    verb = "differs" if what == "differ" and len(names) == 1 else what
    return (
        f"{len(names)} of {plural(total, 'canary answer')} {verb}; '{first.name}' "
        f"{_WHEN.get(first.moment, first.moment)}, against {first.against}: {first.why}"
    )
