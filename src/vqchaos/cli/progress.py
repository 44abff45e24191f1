"""Live progress: one moving line on a terminal, plain lines where there is none."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from vqchaos.runner.progress import Snapshot
from vqchaos.text import one_line
from vqchaos.units import format_duration

_PLAIN_EVERY = 10.0  # seconds between the plain lines of a long phase
_REFRESH = 4


class StepLines:
    """Progress of `up` and `down`: each step with its time; the current one moves."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live: Live | None = None
        self._step = ""
        self._detail = ""
        self._began = time.monotonic()

    def __enter__(self) -> StepLines:
        if self._out.is_terminal:
            self._live = Live(
                get_renderable=self._line, console=self._out, refresh_per_second=_REFRESH
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(failed=error is not None)
        if self._live is not None:
            self._live.stop()

    def step(self, text: str) -> None:
        """A new step begins; the one before is done."""
        self._finish()
        self._step, self._detail, self._began = text, "", time.monotonic()
        if self._live is None:
            self._out.print(Text(f"{text} …"))

    def detail(self, text: str) -> None:
        """Something about the current step."""
        self._detail = text
        if self._live is None:
            self._out.print(Text(f"  {text}"))

    def _finish(self, *, failed: bool = False) -> None:
        if self._step and self._live is not None:
            mark = ("✗", "red") if failed else ("✓", "green")
            took = format_duration(time.monotonic() - self._began)
            self._out.print(Text.assemble(mark, f" {self._step} ", (took, "dim")))
        self._step = ""

    def _line(self) -> Text:
        if not self._step:
            return Text()
        took = format_duration(time.monotonic() - self._began)
        line = Text.assemble(("… ", "cyan"), self._step, (f" {took} ", "dim"), self._detail)
        line.truncate(max(20, self._out.width - 1), overflow="ellipsis")
        return line


class RunProgress:
    """Progress of runs: what was said stays above, the live figures move below it."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live: Live | None = None
        self._last_plain = 0.0
        self._snapshot: Snapshot | None = None

    def __enter__(self) -> RunProgress:
        if self._out.is_terminal:
            self._live = Live(
                get_renderable=self._line,
                console=self._out,
                refresh_per_second=_REFRESH,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def run_started(self, experiment: str, title: str, number: int, of: int) -> None:
        self._snapshot = None
        head = f"[{number}/{of}] {experiment}"
        self._out.print(Text.assemble(("\n" if number > 1 else "") + "▶ ", (head, "bold")))
        if title:
            self._out.print(Text(f"  {title}", style="dim"))

    def phase(self, name: str, limit: float | None, t: float) -> None:
        self._last_plain = t
        if self._live is None:
            bound = (
                f" (at most {format_duration(limit)})"
                if limit and name == "recovery"
                else (f" ({format_duration(limit)})" if limit else "")
            )
            self._out.print(Text(f"{t:8.1f}s  {name}{bound}"))

    def said(self, text: str, t: float | None = None) -> None:
        when = f"{t:8.1f}s  " if t is not None else " " * 11
        self._out.print(Text(f"{when}{one_line(text)}"))

    def tick(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        if self._live is None and snapshot.t - self._last_plain >= _PLAIN_EVERY:
            self._last_plain = snapshot.t
            self._out.print(Text(f"{snapshot.t:8.1f}s  {figures(snapshot)}"))

    def run_ended(self, verdict: dict[str, Any], folder: Path) -> None:
        from vqchaos.report.terminal import render_run

        self._out.print(render_run(verdict, folder))

    def _line(self) -> Text:
        snapshot = self._snapshot
        if snapshot is None:
            return Text()
        passed = format_duration(max(0.0, snapshot.t - snapshot.phase_started))
        bound = f"/{format_duration(snapshot.phase_limit)}" if snapshot.phase_limit else ""
        line = Text.assemble(
            ("● ", "red" if snapshot.phase == "fault" else "cyan"),
            (f"{snapshot.phase} {passed}{bound}  ", "bold"),
            figures(snapshot),
        )
        line.truncate(max(20, self._out.width - 1), overflow="ellipsis")
        return line


def figures(snapshot: Snapshot) -> str:
    """Rate, successes, errors and health of the last seconds, in one line."""
    bad = {k: n for k, n in snapshot.outcomes.items() if k != "ok" and n}
    parts = [f"{snapshot.recent_rate:.1f}/s"]
    if snapshot.recent_ok is not None:
        parts.append(f"ok {snapshot.recent_ok:.0%}")
    if snapshot.recent_ttft is not None:
        parts.append(f"first token {format_duration(snapshot.recent_ttft)}")
    parts.append(f"in flight {snapshot.in_flight}")
    parts.append(f"health {snapshot.health}, pilot {snapshot.pilot}")
    if bad:
        parts.append("this phase: " + ", ".join(f"{n} {k}" for k, n in sorted(bad.items())))
    return " · ".join(parts)
