"""Who answered: requests by the replica that the router named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from vqchaos.history.events import PHASES, Request

NOBODY = "none"  # nobody answered, or the answer did not say who
Counts = dict[str, dict[str, dict[str, int]]]


def answered_by(request: Request) -> str:
    """The replica's name, or ``none``."""
    return request.replica or NOBODY


def names(requests: Iterable[Request]) -> list[str]:
    """The replicas that answered, in order of their names; without ``none``."""
    return sorted({r.replica for r in requests if r.replica})


def counts(requests: list[Request], phase_of: Callable[[Request], str]) -> Counts:
    """By replica → phase → outcome → count, phases in their order; empty if no answer named a
    replica."""
    seen: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for request in requests:
        seen[answered_by(request)][phase_of(request)][request.outcome] += 1
    named = names(requests)
    order = [*named, *([NOBODY] if NOBODY in seen and NOBODY not in named else [])]
    return {
        name: {p: dict(sorted(seen[name][p].items())) for p in PHASES if p in seen[name]}
        for name in order
        if named
    }
