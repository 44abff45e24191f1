"""The minutes of a game day: from what was written while it went on to a table and a page. Pure.

A record is one line of ``minutes.jsonl``: ``kind``, ``wall`` (Unix seconds), ``who`` (is at the
switch) and what its kind has more. A reader passes over kinds that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vqchaos.report.markdown import escape
from vqchaos.text import one_line
from vqchaos.units import format_duration

Record = Mapping[str, Any]
_SIGNS = {
    "pass": "✅", "fail": "❌", "unknown": "❔", "done": "✅", "aborted": "🛑", "interrupted": "🛑",
    "skipped": "-", "void": "❔", "error": "❔", "unclean": "❌", "killed": "❔",
}  # fmt: skip


def minutes_data(records: Sequence[Record]) -> dict[str, Any]:
    """What summary.json and the page have of the minutes: ``rows`` (a row a run, a pause or a
    skipped step) and ``log`` (everything that happened, in order)."""
    first = next((r for r in records if r.get("kind") == "session.started"), {})
    last = next((r for r in records if r.get("kind") == "session.ended"), None)
    people = [str(r["who"]) for r in records if r.get("who")]
    return {
        "name": str(first.get("name", "")),
        "title": str(first.get("title", "")),
        "stack": str(first.get("stack", "")),
        "started_wall": first.get("wall"),
        "ended_wall": None if last is None else last.get("wall"),
        "ended": "was killed" if last is None else str(last.get("why", "")),
        "operators": list(dict.fromkeys(people)),
        "rows": list(_rows(records)),
        "log": [
            {"wall": r.get("wall"), "who": str(r.get("who", "")), "text": text}
            for r in sorted(records, key=_wall)
            if (text := sentence(r))
        ],
    }


def _wall(record: Record) -> float:
    return float(record.get("wall") or 0.0)


def _rows(records: Sequence[Record]) -> Iterable[dict[str, Any]]:
    begun: dict[Any, Record] = {r["step"]: r for r in records if r.get("kind") == "step.started"}
    for record in records:
        kind = record.get("kind")
        if kind not in ("run.ended", "step.ended"):
            continue
        if kind == "step.ended" and not _tells_more(record):
            continue
        start = begun.get(record.get("step"), record)
        yield _row(record, start)
    ended = {r.get("step") for r in records if r.get("kind") == "step.ended"}
    for number in begun.keys() - ended:  # the step that a kill met
        yield _row(_killed(records, number), begun[number])


def _row(record: Record, start: Record) -> dict[str, Any]:
    return {
        "step": record.get("step"),
        "name": str(record.get("name", "")),
        "wall": start.get("wall"),
        "who": str(record.get("who", "")),
        "hypothesis": str(start.get("hypothesis") or start.get("pause") or ""),
        "how": str(record.get("how", "")),
        "why": str(record.get("why", "")),
        "dir": record.get("dir"),
        "injected_wall": record.get("injected_wall"),
        "by_people": record.get("by_people"),
        "by_whom": str(record.get("by_whom") or ""),
        "by_probe": record.get("by_probe"),
        "by_clients": record.get("by_clients"),
        "recovered": record.get("recovered"),
        "reverted_after": record.get("reverted_after"),
    }


def _killed(records: Sequence[Record], step: object) -> dict[str, Any]:
    """Of a step that never ended, as of its last run: what had been written by then."""
    begun = [r.get("kind") == "step.started" and r.get("step") == step for r in records].index(True)
    found: dict[str, Any] = {}
    for record in records[begun:]:
        match record.get("kind"):
            case "run.started":
                found = {"dir": record.get("dir")}
            case "run.ended":  # which has a row
                found = {}
            case "fault.injected":
                found.setdefault("injected_wall", record.get("wall"))
            case "probe":
                found.setdefault("by_probe", record.get("since"))
            case "detected" if record.get("since") is not None:
                found.setdefault("by_people", record["since"])
                found.setdefault("by_whom", record.get("who"))
    why = "the session was killed in this step"
    facts = {"step": step, "name": records[begun].get("name", ""), "how": "killed", "why": why}
    return {**facts, "who": records[-1].get("who", ""), **found}


def _tells_more(step: Record) -> bool:
    """A step with runs has a row for each of them already."""
    return not step.get("runs") or step.get("how") == "error" or bool(step.get("left_out"))


def sentence(record: Record) -> str:
    """One record in words; empty for what needs none."""
    name = str(record.get("name", ""))
    match record.get("kind"):
        case "session.started":
            return f"game day {name} begins on stack {record.get('stack', '?')}"
        case "operator":
            return f"{record.get('to', '?')} takes the switch from {record.get('from', '?')}"
        case "step.started":
            return f"step {record.get('step')} begins: {name}"
        case "run.started":
            return f"run {record.get('number', 1)} of {record.get('of', 1)} of {name}"
        case "fault.injected":
            return f"{record.get('fault', '?')} injected"
        case "fault.undone":
            proven = {"yes": "reverted", "none": "reverted (no way to prove it)"}
            said = proven.get(str(record.get("answer")), "NOT reverted")
            return f"{record.get('fault', '?')} {said}"
        case "probe":
            return f"a probe saw it {_after(record)}: {record.get('text', '')}"
        case "detected":
            if record.get("since") is None:
                return "people saw something before anything was injected"
            return f"people saw it {_after(record)}"
        case "note":
            return f"note: {record.get('text', '')}"
        case "abort":
            return f"ABORT of {name}"
        case "reverted":
            by = record.get("by", "the key")
            return f"everything reverted {seconds(record.get('since'))} after {by}"
        case "run.ended":
            return f"{name}: {record.get('how', '?')}" + _why(record)
        case "step.ended" if _tells_more(record):
            return f"step {record.get('step')}, {name}: {record.get('how', '?')}" + _why(record)
        case "signal":
            return f"stopped: {record.get('text', '')}"
        case "session.ended":
            return f"game day ends: {record.get('why', '')}"
    return ""


def _why(record: Record) -> str:
    return f" ({record['why']})" if record.get("why") else ""


def _after(record: Record) -> str:
    since = record.get("since")
    return "?" if since is None else f"after {seconds(since)}"


def seconds(value: float | None) -> str:
    """``0.34 s`` below ten seconds, where hundredths tell something."""
    if value is None:
        return "-"
    return f"{value:.2f} s" if abs(value) < 10 else format_duration(value)


def clock(wall: float | None) -> str:
    """Unix seconds → ``21:18:04`` UTC."""
    return "-" if wall is None else datetime.fromtimestamp(wall, UTC).strftime("%H:%M:%S")


def minutes_markdown(data: Mapping[str, Any]) -> str:
    """minutes.md from ``minutes_data``."""
    wall = data["started_wall"]
    day = "?" if wall is None else datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d")
    out = [
        f"# Game day {escape(data['name'])}, {day}",
        "",
        *([escape(data["title"]), ""] if data["title"] else []),
        f"Stack {escape(data['stack'])}. At the switch: "
        f"{', '.join(escape(name) for name in data['operators']) or '?'}. "
        f"From {clock(wall)} to {clock(data['ended_wall'])} UTC; {escape(data['ended'])}.",
        "",
        "Times of detection and recovery are since the injection, the last since the abort.",
        "",
        "| | step | began | who | hypothesis | injected | people | probe | clients | recovered "
        "| reverted after abort | why |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        by = f" ({escape(row['by_whom'])})" if row["by_whom"] else ""
        cells = (
            f"{_SIGNS.get(row['how'], '')} {escape(row['how'])}",
            f"{row['step']}. {escape(row['name'])}",
            clock(row["wall"]),
            escape(row["who"]),
            escape(row["hypothesis"], 300) or "-",
            clock(row["injected_wall"]),
            seconds(row["by_people"]) + by,
            seconds(row["by_probe"]),
            seconds(row["by_clients"]),
            seconds(row["recovered"]),
            seconds(row["reverted_after"]),
            escape(row["why"], 600) or "-",
        )
        out.append("| " + " | ".join(cells) + " |")
    out += ["", "## What happened", ""]
    out += [
        f"- {clock(item['wall'])} {escape(item['who'])}: {escape(item['text'], 600)}"
        for item in data["log"]
    ]
    return "\n".join(out) + "\n"


def tidy(text: object) -> str:
    """As a record keeps it: one line, no control characters."""
    return one_line(text, 500)
