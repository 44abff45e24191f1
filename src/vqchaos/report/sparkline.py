"""The outage in one line: a block for each step of the run, as high as the share that went well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from vqchaos.units import format_duration

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = " "


def blocks(verdict: Mapping[str, Any]) -> str:
    """One character a step: full where all requests were ok, ``x`` where none was, a space where
    none was sent. Empty for a verdict without its strip."""
    found = verdict.get("strip") or {}
    return "".join(
        _block(good, bad)
        for good, bad in zip(found.get("ok", []), found.get("failed", []), strict=False)
    )


def render(verdict: Mapping[str, Any]) -> Text | None:
    """The line for the terminal; None where there is nothing to draw."""
    line = blocks(verdict)
    if not line.strip():
        return None
    text = Text.assemble(("served    ", "bold"), no_wrap=True, overflow="ellipsis")
    for block in line:
        text.append(block, style="red" if block == "x" else "green" if block == "█" else "yellow")
    step = format_duration(verdict["strip"]["step"])
    return text.append(f"  {step} each", style="dim")


def _block(good: int, bad: int) -> str:
    if not good:
        return "x" if bad else _NOTHING
    if not bad:
        return _BLOCKS[-1]
    return _BLOCKS[min(len(_BLOCKS) - 2, int(good / (good + bad) * len(_BLOCKS)))]
