"""Events to JSON objects and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from vqchaos.history.events import TYPES, Event


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
    names = {f.name for f in fields(cls)}
    return cls(**{key: value for key, value in data.items() if key in names})


# Wall-clock and log-probability floats keep more digits than moments do.
_EXACT = 1e6


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) >= _EXACT else round(value, 6)
    if isinstance(value, list):
        return [_round(item) for item in value]
    return value
