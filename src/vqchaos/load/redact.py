"""Secrets out of what the target says."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Redactor:
    """Replaces the values of secret headers wherever a server echoes them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        parts = {part for secret in secrets for part in (secret, *secret.split()) if len(part) >= 6}
        longest_first = sorted(parts, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if parts else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("[redacted]", text) if self._pattern else text
