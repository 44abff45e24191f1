"""Text from the target is data: terminal escapes and control characters out, length bounded,
secrets gone."""

from __future__ import annotations

import re
from collections.abc import Iterable

EXCERPT = 120

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC strings
    r"|\x1b[@-Z\\-_]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)


def clean(text: str, limit: int = EXCERPT) -> str:
    """One line without escapes, controls or direction overrides, at most ``limit`` characters."""
    head = text[: limit * 8]
    line = _CONTROLS.sub(" ", _ESCAPES.sub("", head)).strip()
    if len(line) <= limit and len(head) == len(text):
        return line
    return line[: limit - 1].rstrip() + "…" if len(line) >= limit else line


class Redactor:
    """Replaces the values of secret headers wherever a server echoes them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        parts = {part for secret in secrets for part in (secret, *secret.split()) if len(part) >= 6}
        longest_first = sorted(parts, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if parts else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("[redacted]", text) if self._pattern else text
