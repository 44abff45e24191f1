"""Words that the checks share, so that all reasons read alike."""

from __future__ import annotations

from vqchaos.units import format_duration
from vqchaos.view import NOBODY, Group, RunView


def where(phase: str, workload: str | None, replica: str | None = None) -> str:
    """``the fault phase``, ``the fault phase of workload 'chat' from replica 'server-2'``."""
    place = "the whole run" if phase == "all" else f"the {phase} phase"
    if workload is not None:
        place += f" of workload '{workload}'"
    return place if replica is None else f"{place} from replica '{replica}'"


def never_answered(run: RunView, replica: str | None) -> str | None:
    """Why nothing can be said of this replica; None if it answered at all."""
    if replica is None or replica in run.replicas or (replica == NOBODY and run.replicas):
        return None
    if not run.replicas:
        return (
            "no answer says which replica it came from (`replica_header` in the stack's file "
            "names the header that does)"
        )
    return f"replica '{replica}' answered nothing in the whole run; seen: {', '.join(run.replicas)}"


def plural(count: int, word: str) -> str:
    """``1 request``, ``3 requests``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def counted(requests: Group) -> str:
    """``12 refused, 1 hung``, the most frequent first."""
    order = sorted(requests.outcomes().items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {outcome}" for outcome, count in order)


def first_of(requests: Group) -> str:
    """Which of some requests to look at: the one whose client knew first."""
    first = requests.first()
    assert first is not None
    said = f", {first.detail}" if first.detail else ""
    return f"the first at {first.ended:.1f} s: {first.outcome}{said} ({first.id})"


def after_injection(run: RunView, moment: float) -> str:
    """``12.3 s (2.1s after the injection)``."""
    since = run.first_injection
    if since is None or moment < since:
        return f"{moment:.1f} s"
    return f"{moment:.1f} s ({format_duration(moment - since)} after the injection)"


def ratio(value: float) -> str:
    """``3.2x``; two digits where one would hide the difference."""
    return f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"
