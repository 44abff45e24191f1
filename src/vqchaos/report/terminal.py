"""A run and a set on the terminal: readable at 80 columns and without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vqchaos.report import sparkline
from vqchaos.report.markdown import not_passed
from vqchaos.report.spread import set_recovery
from vqchaos.report.way_back import WayBack, letters
from vqchaos.report.words import MARKS, counts, quantity, recovery_line, replica_table, timeline
from vqchaos.text import one_line
from vqchaos.units import format_duration

Verdict = Mapping[str, Any]
STYLES = {"pass": "green", "unknown": "yellow", "fail": "red", "skipped": "dim"}
_BAR = 26
_PLACE = ("phase", "workload", "replica")
_SET_WHY = 160  # characters a run in a set's table; its own table says the rest


class _Steps:
    """Steps in a line that breaks only between them."""

    def __init__(self, steps: list[str]) -> None:
        self._steps = steps

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = ""
        for step in self._steps:
            longer = f"{line} ─ {step}" if line else step
            if line and len(longer) + 2 > options.max_width:
                yield Text(f"{line} ─")
                longer = step
            line = longer
        yield Text(line)


def render_run(verdict: Verdict, folder: Path | None = None) -> RenderableType:
    """One run: verdict, recovery in its parts, each check with its reason, what clients got."""
    parts: list[RenderableType] = [_head(verdict), Text("")]
    if not verdict["valid"]:
        parts.append(Text("void: this run shows nothing", style="bold yellow"))
        parts += [_bullet(reason, "yellow") for reason in verdict["void_reasons"]]
        parts.append(Text(""))
    parts += _recovery(verdict)
    if (served := sparkline.render(verdict)) is not None:
        parts += [served, Text("")]
    if verdict["checks"]:
        parts += [_checks(verdict), Text("")]
    if verdict["outcomes"]:
        parts += [_traffic(verdict), Text("")]
    if replica_table(verdict)[1]:
        parts += [_replicas(verdict), Text("")]
    if verdict["findings"]:
        parts.append(Text("findings", style="bold"))
        parts += [_bullet(f"{f['kind']}: {f['text']}", "") for f in verdict["findings"]]
        parts.append(Text(""))
    if folder is not None:
        page = "report.html" if (folder / "report.html").is_file() else ""
        parts.append(Text(f"{folder}/{page}", style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def render_set(summary: Mapping[str, Any], verdicts: Sequence[Verdict]) -> RenderableType:
    """A set: a row a run with why it is not a pass, then the set's verdict and recovery."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True, header_style="dim")
    table.add_column("verdict", no_wrap=True)
    table.add_column("run", ratio=1, overflow="fold")
    table.add_column("recovery", justify="right", no_wrap=True)
    for verdict in verdicts:
        text = Text(one_line(verdict["experiment"]), style="bold")
        why = not_passed(verdict)
        if why:
            text.append("\n" + one_line(why, _SET_WHY), style="not bold")
        elif verdict.get("title"):
            text.append("\n" + one_line(verdict["title"]), style="not bold dim")
        table.add_row(_mark(verdict["verdict"]), text, _recovery_time(verdict))
    for item in summary.get("skipped", []):
        text = Text(one_line(item["experiment"]))
        text.append("\n" + one_line(item["reason"]), style="dim")
        table.add_row(_mark("skipped"), text, "")
    valid = sum(bool(v["valid"]) for v in verdicts)
    foot = Text.assemble(
        _mark(summary["verdict"]),
        f"  {len(verdicts)} runs, {valid} valid",
        (f", exit code {summary['exit_code']}", "dim"),
    )
    parts: list[RenderableType] = [table, Text(""), foot]
    if found := set_recovery(summary):
        parts.append(Text.assemble(("recovery  ", "dim"), one_line(found, 2000)))
    return Group(*parts)


def render_gate(gate: Mapping[str, Any]) -> RenderableType:
    """A row a rule, then the gate's verdict."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for rule in gate["rules"]:
        text = Text.assemble((one_line(rule["name"]), "bold"), "  ", one_line(rule["why"], 800))
        table.add_row(_mark(rule["verdict"]), text)
    name = Text.assemble(_mark(gate["verdict"]), f"  gate {one_line(gate['name'])}")
    return Group(Text(""), name, Padding(table, (0, 0, 0, 2)))


def _mark(verdict: str) -> Text:
    return Text(f"{MARKS[verdict]} {verdict.upper()}", style=f"bold {STYLES[verdict]}")


def _bullet(text: str, style: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(" •", Text(one_line(text, 800), style=style, overflow="fold"))
    return grid


def _head(verdict: Verdict) -> Text:
    head = Text.assemble(
        _mark(verdict["verdict"]),
        "  ",
        (one_line(verdict["experiment"]), "bold"),
        (f"  on {one_line(verdict['stack'])}", "dim"),
    )
    if verdict["exit_code"] == 4:
        head.append("  UNCLEAN: run `vqchaos heal`", style="bold red")
    if verdict.get("title"):
        head.append("\n" + one_line(verdict["title"]))
    return head


def _recovery_time(verdict: Verdict) -> Text:
    found = verdict["recovery"]
    if not verdict["valid"] or found["recovery_time"] is None:
        return Text("-", style="dim")
    if verdict["impact"] == "none":
        return Text("no impact")
    sign = "> " if found["censored"] else ""
    return Text(sign + format_duration(found["recovery_time"]))


def _recovery(verdict: Verdict) -> list[RenderableType]:
    out: list[RenderableType] = [
        Text.assemble(("recovery  ", "bold"), one_line(recovery_line(verdict)))
    ]
    steps = timeline(verdict)
    if len(steps) > 1:
        line = _Steps([f"{name} {_at(at)}" for name, at, _ in steps])
        to_scale = Padding(WayBack([at for _, at, _ in steps]), (0, 0, 0, 2))
        out += [Padding(line, (0, 0, 0, 2)), Text(""), to_scale, _waterfall(steps)]
    return [*out, Text("")]


def _at(seconds: float) -> str:
    return "0.0" if seconds == 0 else f"{seconds:+.1f}"


def _waterfall(steps: list[tuple[str, float, str]]) -> Table:
    """A row a step, with its letter: a bar from the step before to it, to scale."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, width=14)
    grid.add_column(justify="right", no_wrap=True, width=8)
    grid.add_column(no_wrap=True, width=_BAR)
    grid.add_column(style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
    total = max(at for _, at, _ in steps) or 1.0
    before = 0.0
    for letter, (name, at, source) in zip(letters(len(steps)), steps, strict=True):
        start = min(_BAR - 1, max(0, int(before / total * _BAR)))
        end = min(_BAR, max(start + 1, round(at / total * _BAR)))
        bar = Text("·" * start, style="dim")
        bar.append("━" * (end - start), style="green" if name == "sustained" else "cyan")
        bar.append("·" * (_BAR - end), style="dim")
        grid.add_row(Text(f"{letter} {name}"), Text(_at(at)), bar, Text(one_line(source)))
        before = max(before, at)
    return grid


def _checks(verdict: Verdict) -> RenderableType:
    """Two lines a check: what was found against its limit, and why that is the verdict."""
    out: list[RenderableType] = []
    for check in verdict["checks"]:
        name = Text(one_line(check["name"]), style="bold")
        place = [one_line(p) for k in _PLACE if (p := check.get(k))]
        if place:
            name.append(f"  {', '.join(place)}", style="not bold dim")
        found = Text.assemble(
            one_line(quantity(check["observed"], check["unit"]), 36),
            ("  limit ", "dim"),
            one_line(quantity(check["limit"], check["unit"]), 36),
        )
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(no_wrap=True, width=9)
        row.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        row.add_column(justify="right", overflow="fold")
        row.add_row(_mark(check["verdict"]), name, found)
        style = "dim" if check["verdict"] == "pass" else ""
        why = Text(one_line(check["why"], 800), style=style, overflow="fold")
        out += [row, Padding(why, (0, 0, 0, 11))]
    return Group(*out)


def _traffic(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("workload", no_wrap=True, overflow="ellipsis", max_width=14)
    table.add_column("phase", no_wrap=True)
    for name in ("sent", "ok", "TTFT p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("not ok", overflow="fold")
    for workload, phases in verdict["outcomes"].items():
        shown = one_line(workload)
        for phase, outcomes in phases.items():
            figures = verdict["latency"].get(workload, {}).get(phase, {})
            table.add_row(
                Text(shown),
                one_line(phase),
                str(sum(outcomes.values())),
                str(outcomes.get("ok", 0)),
                quantity(figures.get("ttft_p50"), "s"),
                quantity(figures.get("ttft_p95"), "s"),
                Text(one_line(counts(outcomes))),
            )
            shown = ""
    return table


def _replicas(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns, rows = replica_table(verdict)
    for name in columns:
        inside = name not in (columns[0], columns[-1])
        table.add_column(name, justify="right" if inside else "left", no_wrap=inside)
    for row in rows:
        table.add_row(*(Text(one_line(cell, 64)) for cell in row))
    return table
