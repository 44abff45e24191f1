"""Pages for the tests: hostile text wherever text of a target, a file or a person can be."""

from __future__ import annotations

from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any

from tests.histories import World, experiment, killed
from vqchaos.history.events import (
    ContainerEvent,
    Event,
    Note,
    ProcessStopped,
    Request,
    RouterReplica,
    StartAttempt,
)
from vqchaos.judge import judge, judge_set
from vqchaos.report.html import Material, run_data, run_page, set_data, set_page
from vqchaos.report.html.logs import LogLine
from vqchaos.view import RunView

# Each would set window.ran or load something if any part of it were taken for markup or script.
HOSTILE = (
    "</script><script>window.ran=1</script><!--<script>--><img src=http://evil.invalid/x "
    "onerror=window.ran=2>\"><svg onload=window.ran=3>'-(window.ran=4)-'{{7*7}}${window.ran=5}"
    "\u2028\u2029</style></pre></title></textarea>javascript:window.ran=6 \x1b[31m\u202e"
)
CHECKS = [
    {"type": "recovery_time", "max": "15s"},
    {"type": "refuses_to_start", "within": "1s"},
    {"type": "health_truthful", "within": "2s"},
    {"type": "no_residue"},
]


def world() -> World:
    """Rich: each kind of event that the page tells of is there."""
    made = killed().hang(11.0, 12.0).fail(14.0, 16.0, "corrupted").health(12.1, 17.0, 200)
    made.inject(13.0, name="latency", held=True).answered_by("server-1", "server-2")
    return made.add(
        ProcessStopped(t=13.0, role="server", pid=100, stopped=True),
        ContainerEvent(t=13.1, action="die", role="server", service="s", container="c"),
        RouterReplica(t=1.0, replica="server-1", up=True, status="UP"),
        RouterReplica(t=14.0, replica="server-1", up=False, status="DOWN"),
        StartAttempt(t=20.0, fault="f", outcome="exited", started=19.0, cause="c", log_tail=["l"]),
        Note(t=15.0, text="somebody said so", source="person"),
    )


def spoiled(value: Any, text: str, keep: frozenset[str] = frozenset()) -> Any:
    """The same shape with ``text`` for every string; keys in ``keep`` stay as they are."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {k: v if k in keep else spoiled(v, text, keep) for k, v in value.items()}
    if isinstance(value, list):
        return [spoiled(item, text, keep) for item in value]
    return value


def hostile_events(text: str) -> list[Event]:
    """Every string of every event, but for the words that events are sorted by."""
    keep = {"workload", "phase", "how", "role", "kind", "fault", "entry", "answer", "moment"}
    out = []
    for event in world().build():
        names = {f.name for f in fields(event)} - keep
        if isinstance(event, Request):
            names -= {"outcome"} if event.outcome == "ok" else set()
        changes = {n: spoiled(getattr(event, n), text) for n in names}
        out.append(replace(event, **changes))
    return out


def hostile_run(text: str = HOSTILE) -> str:
    verdict = judge(world().build(), experiment(checks=CHECKS)).as_dict()
    # What programs go by stays; whatever a person reads is spoiled.
    keep = frozenset({"verdict", "unit", "impact", "anchor", "type", "schema"})
    verdict = spoiled(verdict, text, keep)
    verdict["valid"], verdict["void_reasons"] = False, [text]
    verdict["outcomes"] = {text: {"baseline": {"ok": 3}, "fault": {"ok": 1, text: 4}}}
    verdict["latency"] = {text: {"baseline": {"ttft_p95": 0.1}, "fault": {"ttft_p95": 0.3}}}
    verdict["by_replica"] = {text: {"fault": {"ok": 1}}, text + "2": {"fault": {text: 1}}}
    verdict["findings"] = [{"kind": text, "text": text}]
    verdict["residue"] = [{"kind": text, "name": text, "detail": text}]
    verdict["checks"][0]["known"] = {"why": text, "until": text, "state": text}
    verdict["faults"][0]["error"] = text
    run = RunView(hostile_events(text), experiment(title=text, hypothesis=text))
    material = Material(
        experiment=text,
        stack={text: text, "versions": {text: text}, "model": text},
        logs=[LogLine(12.5, text, text)],
    )
    return run_page(run_data(verdict, run, material))


def hostile_set(text: str = HOSTILE) -> str:
    one = judge(world().build(), experiment(checks=CHECKS)).as_dict()
    keep = frozenset({"verdict", "unit", "impact", "anchor", "type", "schema"})
    bad = spoiled(one, text, keep)
    other = {**bad, "experiment": text + "2"}
    runs = [(text, bad), (text, bad), (text, other)]
    summary = judge_set(runs, skipped=[{"experiment": text, "reason": text}])
    summary["label"] = text
    return set_page(set_data(summary, [v for _, v in runs], text))


def plain_run() -> str:
    events = world().build()
    made = experiment(checks=CHECKS)
    verdict = judge(events, made).as_dict()
    return run_page(run_data(verdict, RunView(events, made), Material(experiment="version: 1\n")))


class Parsed(HTMLParser):
    """A page as a browser would take it apart: its tags with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.comments: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._inside, []).append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in self.tags]
