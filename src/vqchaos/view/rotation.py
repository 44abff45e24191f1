"""When the router took a replica out, and when it was back; from its statistics' changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqchaos.history.events import ContainerEvent, RouterReplica

_SERVES_AGAIN = {"start": "its container started", "unpause": "its container was unpaused"}


@dataclass(frozen=True, slots=True)
class Turns:
    """One replica from the injection on; moments are the history's. ``out_at`` is the first time
    it was out, ``back_at`` when it came back to stay. ``times``: how often it went out.
    ``blind_since``: from when on, to the end, the router gave no word."""

    replica: str
    was_up: bool | None  # the last word before the injection
    out_at: float | None = None
    back_at: float | None = None
    times: int = 0
    blind_since: float | None = None


def turns(events: Sequence[RouterReplica], replica: str, since: float) -> Turns:
    """What became of one replica after ``since``."""
    was_up: bool | None = None
    out_at = back_at = blind_since = None
    times, up = 0, None
    for event in (e for e in events if e.replica == replica):
        blind_since = event.t if event.up is None else None
        if event.t < since:
            was_up = event.up if event.up is not None else was_up
            up = was_up
            continue
        if event.up is None or event.up is up:
            continue
        if not event.up:
            times += 1
            out_at = event.t if out_at is None else out_at
            back_at = None
        elif out_at is not None:
            back_at = event.t
        up = event.up
    return Turns(replica, was_up, out_at, back_at, times, blind_since)


def names(events: Sequence[RouterReplica]) -> list[str]:
    """The replicas that the router named."""
    return sorted({event.replica for event in events})


def could_serve_again(
    containers: Sequence[ContainerEvent],
    replica: str,
    since: float,
    until: float | None,
    reverted: float | None,
) -> tuple[float, str] | None:
    """From when on the replica could serve, and by what it is told: the last start of its own
    container after ``since`` (and before it was back, ``until``); without one, the last revert."""
    own = [
        (event.t, _SERVES_AGAIN[event.action])
        for event in containers
        if event.action in _SERVES_AGAIN
        and replica in (event.service, f"{event.service}-{event.number}")
        and since <= event.t
        and (until is None or event.t <= until)
    ]
    if own:
        return own[-1]
    return None if reverted is None else (reverted, "the fault was reverted")
