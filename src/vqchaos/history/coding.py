"""Events to JSON objects and back."""

from __future__ import annotations

from array import array
from dataclasses import fields
from typing import Any

from vqchaos.history.events import TYPES, Event, Request


def encode(event: Event) -> dict[str, Any]:
    """The event as one JSON object, floats rounded to 0.1 ms."""
    out: dict[str, Any] = {"t": _round(event.t), "type": event.type}
    for f in fields(event):
        if f.name != "t":
            out[f.name] = _round(getattr(event, f.name))
    return out


def decode(data: dict[str, Any]) -> Event | None:
    """The event of a JSON object; None for a type this version does not know.

    Raises TypeError when a required key is missing.
    """
    cls = TYPES.get(str(data.get("type")))
    if cls is None:
        return None
    names = _NAMES[cls]
    data = {key: value for key, value in data.items() if key in names}
    if cls is Request:
        _share(data)
    return cls(**data)


_NAMES = {cls: frozenset(f.name for f in fields(cls)) for cls in TYPES.values()}
_REPEATED = ("workload", "api", "outcome", "finish_reason", "detail", "replica", "excerpt")
_known: dict[str, str] = {}
_MOST_KNOWN = 10_000  # texts of the target are data: as many as it likes


def _share(data: dict[str, Any]) -> None:
    """Equal values of requests, of which there are very many, are kept once."""
    for key in _REPEATED:
        value = data.get(key)
        if isinstance(value, str):
            data[key] = (
                _known.setdefault(value, value)
                if len(_known) < _MOST_KNOWN
                else (_known.get(value, value))
            )
    for key, other in (("t", "ended"), ("first_byte", "first_token"), ("due", "sent")):
        if data.get(key) == data.get(other):
            data[key] = data.get(other)


# Wall-clock and log-probability floats keep more digits than moments do.
_EXACT = 1e6


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) >= _EXACT else round(value, 6)
    if isinstance(value, (list, array)):
        return [_round(item) for item in value]
    return value
