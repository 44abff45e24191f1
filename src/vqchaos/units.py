"""Scalars with units: durations, sizes, rates and shares, as the YAML writes them.

Each ``parse_*`` takes the text (or a number where the design allows one) and raises ``ValueError``
with what was expected; each annotated type is for pydantic models and yields plain floats and ints
(seconds, bytes, bytes a second, 0 to 1).
"""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_DURATION_UNIT = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B)")
_SIZE_UNIT = {
    "B": 1,
    **{f"{p}B": 1000**n for n, p in enumerate("KMGT", 1)},
    **{f"{p}iB": 1024**n for n, p in enumerate("KMGT", 1)},
}
DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|h|m|s))+$"
SIZE_PATTERN = r"^\d+(\.\d+)?\s*[KMGT]?i?B$"
RATE_PATTERN = r"^\d+(\.\d+)?\s*[KMGT]?i?B/s$"
SHARE_PATTERN = r"^\d+(\.\d+)?%$"


def parse_duration(value: object) -> float:
    """``250ms``, ``20s``, ``1m30s``, ``1.5h`` → seconds."""
    if isinstance(value, bool) or not isinstance(value, str):
        msg = "expected a duration with a unit, such as 250ms, 20s or 1m30s"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            msg += f" (did you mean {value}s?)"
        raise ValueError(msg)
    text = value.strip()
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError("expected a duration with a unit, such as 250ms, 20s or 1m30s")
    units = [unit for _, unit in parts]
    order = ["h", "m", "s", "ms"]
    if sorted(units, key=order.index) != units or len(set(units)) != len(units):
        raise ValueError("a duration's units go from large to small, each once, such as 1m30s")
    # To the nanosecond: 700 * 0.001 is a little more than 0.7.
    seconds = round(sum(float(number) * _DURATION_UNIT[unit] for number, unit in parts), 9)
    if not math.isfinite(seconds):
        raise ValueError("a duration must be finite")
    return seconds


def format_duration(seconds: float) -> str:
    """Seconds → the shortest text a person reads at once: ``250ms``, ``4.2s``, ``1m30s``."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"


def parse_size(value: object) -> int:
    """``8GiB``, ``8GB``, ``512KiB`` → bytes."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a size with a unit, such as 8GiB or 500MB")
    return int(float(match[1]) * _SIZE_UNIT[match[2]])


def format_size(size: float) -> str:
    """Bytes → ``3.1 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def parse_rate(value: object) -> int:
    """``10KB/s`` → bytes a second."""
    if isinstance(value, str) and value.strip().endswith("/s"):
        try:
            return parse_size(value.strip()[:-2])
        except ValueError:
            pass
    raise ValueError("expected a rate with a unit, such as 10KB/s")


def parse_share(value: object) -> float:
    """``99%`` or ``0.99`` → 0.99."""
    number: float | None = None
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            number = float(value.strip()[:-1]) / 100
        except ValueError:
            number = None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError("expected a share, such as 99% or 0.99")
    return number


def format_share(share: float) -> str:
    """0.9875 → ``98.75%``."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + "%"


def duration_text(seconds: float) -> str:
    """Seconds → text that ``parse_duration`` turns back into them: ``20s``, ``250ms``."""
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    milliseconds = round(seconds * 1000, 6)
    if milliseconds == int(milliseconds):
        return f"{int(milliseconds)}ms"
    return f"{seconds:.9f}".rstrip("0") + "s"


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),
    _text(DURATION_PATTERN, "20s"),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(lambda size: f"{size}B", return_type=str, when_used="json"),
    _text(SIZE_PATTERN, "8GiB"),
]
Rate = Annotated[
    int,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda rate: f"{rate}B/s", return_type=str, when_used="json"),
    _text(RATE_PATTERN, "10KB/s"),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SHARE_PATTERN},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "examples": ["99%"],
        }
    ),
]
