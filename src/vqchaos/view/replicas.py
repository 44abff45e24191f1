"""Who answered: requests by the replica that the router named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from vqchaos.history.events import PHASES
from vqchaos.view.group import Group

NOBODY = "none"  # nobody answered, or the answer did not say who
Counts = dict[str, dict[str, dict[str, int]]]


def names(requests: Group) -> list[str]:
    """The replicas that answered, in order of their names; without ``none``."""
    return sorted(name for name in requests.counts(lambda kind: kind.replica) if name)


def counts(groups: Iterable[tuple[str, Group]]) -> Counts:
    """Of (phase, requests): by replica → phase → outcome → count, phases in their order; empty if
    no answer named a replica."""
    seen: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    named = set[str]()
    for phase, group in groups:
        found = group.counts(lambda kind: (kind.replica, kind.outcome))
        for (replica, outcome), count in found.items():
            seen[replica or NOBODY][phase][outcome] += count
            named.update([replica] if replica else [])
    order = [*sorted(named), *([NOBODY] if NOBODY in seen and NOBODY not in named else [])]
    return {
        name: {p: dict(sorted(seen[name][p].items())) for p in PHASES if p in seen[name]}
        for name in order
        if named
    }
