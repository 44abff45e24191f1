"""Canary answers against their references. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqchaos.history.events import LOADED, CanaryProbe
from vqchaos.probes.fingerprint import Fingerprint, compare, compare_loaded

# The server answered, and not with what the API promises: row 25 of the facts, NaN weights, is a
# 400. The other failures (refused, hung, …) bring no answer that could be compared.
WRONG_OUTCOMES = frozenset({"corrupted", "error", "malformed", "misrouted"})


@dataclass(frozen=True, slots=True)
class CanaryJudgement:
    """One canary answer. ``state``: same, changed or unanswered; ``against`` names the reference
    that it differs from (golden, baseline), or was compared with."""

    name: str
    moment: str
    state: str
    against: str
    why: str


def seen(probe: CanaryProbe) -> Fingerprint:
    return Fingerprint(probe.text, probe.tokens, probe.logprobs)


def golden(probe: CanaryProbe) -> Fingerprint | None:
    """The golden reference that came with the probe."""
    if probe.expected_tokens is None and probe.expected_text is None:
        return None
    text = probe.text if probe.expected_text is None else probe.expected_text
    return Fingerprint(text, probe.expected_tokens or (), probe.expected_logprobs or ())


def against_golden(probe: CanaryProbe) -> CanaryJudgement | None:
    """Is the answer correct? None where the run has no golden reference."""
    reference = golden(probe)
    return None if reference is None else _judge(probe, reference, "golden")


def against_baseline(probe: CanaryProbe, baseline: Sequence[CanaryProbe]) -> CanaryJudgement | None:
    """Is the answer unchanged? None where the baseline has no answer of this canary."""
    for reference in baseline:
        if reference.name == probe.name and reference.outcome == "ok":
            return _judge(probe, seen(reference), "baseline")
    return None


def _judge(probe: CanaryProbe, reference: Fingerprint, against: str) -> CanaryJudgement:
    def result(state: str, why: str) -> CanaryJudgement:
        return CanaryJudgement(probe.name, probe.moment, state, against, why)

    if probe.outcome != "ok":
        said = probe.outcome + (f": {probe.detail}" if probe.detail else "")
        return result("changed" if probe.outcome in WRONG_OUTCOMES else "unanswered", said)
    if probe.moment == LOADED:
        difference = compare_loaded(reference, seen(probe))
        if difference.kind == "unjudged":
            return result("unanswered", difference.why)
        same = "the same as far as load allows"
    else:
        difference = compare(reference, seen(probe))
        same = "the same tokens and log-probabilities"
    if difference.same:
        return result("same", same)
    signs = f"; garbage: {', '.join(probe.garbage)}" if probe.garbage else ""
    return result("changed", difference.why + signs)
