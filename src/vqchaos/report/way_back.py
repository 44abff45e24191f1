"""The way back as one line, to scale: ``0━━━━━a──────b━━━━━━━━━━━━━━━c``.

Each letter stands where its stage was reached; the letters are explained in the rows below it.
The two kinds of dashes tell the parts apart without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from string import ascii_lowercase

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_DASHES = ("━", "─")
_COLOURS = ("cyan", "blue")
_WIDEST = 76


def letters(count: int) -> list[str]:
    """``0`` for the injection, then a letter a stage; ``*`` past the alphabet."""
    return ["0", *(ascii_lowercase[n] if n < 26 else "*" for n in range(count - 1))]


def widths(moments: Sequence[float], room: int) -> list[int]:
    """The characters that each part gets, of ``room`` in all, at least one: its letter. ``moments``
    in order, the first is the start."""
    parts = [max(0.0, b - a) for a, b in pairwise(moments)]
    spare, total = max(0, room - len(parts)), sum(parts)
    if not total:
        return [1] * len(parts)
    exact = [part / total * spare for part in parts]
    out = [1 + int(value) for value in exact]
    left = spare - sum(int(value) for value in exact)
    for place in sorted(range(len(parts)), key=lambda n: (int(exact[n]) - exact[n], n))[:left]:
        out[place] += 1
    return out


class WayBack:
    """``moments`` in order of time, the injection first."""

    def __init__(self, moments: Sequence[float]) -> None:
        self._moments = moments

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = letters(len(self._moments))
        text = Text(names[0], style="bold", no_wrap=True)
        room = min(_WIDEST, options.max_width) - 1
        for number, width in enumerate(widths(self._moments, room)):
            text.append(_DASHES[number % 2] * (width - 1), style=f"not bold {_COLOURS[number % 2]}")
            text.append(names[number + 1], style="bold")
        yield text
