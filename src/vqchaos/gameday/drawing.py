"""What is on the screen, as lines of text for a given width and height. Pure.

Every line is plain ``Text``: words of the target are never markup. Signs carry the meaning, colour
only adds to it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache

from rich.console import Console
from rich.text import Text

from vqchaos.experiment.gameday import GameDay
from vqchaos.gameday.live import Live
from vqchaos.gameday.results import Result, reasons, sentence
from vqchaos.gameday.session import Session
from vqchaos.report.minutes import seconds
from vqchaos.text import clean, one_line
from vqchaos.units import format_duration

KEYS = (
    ("enter", "go on"), ("s", "skip"), ("a", "ABORT"), ("d", "I see it"), ("n", "note"),
    ("o", "operator"), ("q", "end"), ("?", "help"),
)  # fmt: skip
HELP = """\
enter  starts the step that is shown, or goes on to the next
s      skips the step
a      ABORT: every fault is reverted at once, without a question; the step ends
Ctrl-C the same, also while a note is being written
d      "I see it": the first time after the injection is the people's detection time
n      a note; its time is that of the key, not of the end of the typing
o      somebody else takes the switch
q      ends the game day; a step that runs is aborted first
?      this page

`vqchaos abort` in another terminal reverts and ends the game day. If this session is killed, its \
watchdog reverts. Up, down, page up and page down scroll a long result."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_MARKS = {
    "todo": (" ", "dim"), "now": (">", "bold"), "done": ("✓", "green"), "pass": ("✓", "green"),
    "fail": ("✗", "red"), "unknown": ("?", "yellow"), "void": ("?", "yellow"),
    "error": ("!", "red"), "aborted": ("■", "red"), "interrupted": ("■", "red"),
    "unclean": ("!", "red"), "skipped": ("-", "dim"),
}  # fmt: skip
_LABEL = 10


@cache
def _console() -> Console:
    return Console(file=io.StringIO(), width=80)


def wrapped(text: str, width: int, style: str = "", most: int | None = None) -> list[Text]:
    """Lines of at most ``width`` cells; of more than ``most`` the last ends in an ellipsis."""
    lines = list(Text(clean(text), style=style).wrap(_console(), max(1, width)))
    for line in lines:
        line.rstrip()
    if most is not None and len(lines) > most:
        lines = lines[:most]
        lines[-1] = fitted(Text(lines[-1].plain + " …", style=style), width)
    return lines


def fitted(text: Text, width: int) -> Text:
    text.truncate(max(1, width), overflow="ellipsis")
    return text


def header(session: Session, day: GameDay, stack: str, now: float, width: int) -> Text:
    took = format_duration(max(0.0, now - session.began))
    said = f"vqchaos game day {day.name} · stack {stack} · at the switch: {session.operator} · "
    return fitted(Text(one_line(said) + " " + took, style="reverse"), width)


def plan(session: Session, width: int, height: int) -> list[Text]:
    """The steps with their marks; the current one is always among those shown."""
    count = len(session.steps)
    first = max(0, min(session.at - height // 2, count - height))
    lines = []
    for number in range(first, min(count, first + height)):
        state = session.marks[number]
        sign, style = _MARKS[state]
        if number == session.at and state == "todo":
            sign, style = ">", "bold"
        name = f"{sign} {number + 1}. {one_line(session.steps[number].name)}"
        lines.append(fitted(Text(name, style=style), width))
    return lines


def body(session: Session, width: int, height: int) -> list[Text]:
    """The main part. Only a result or a long question is ever higher than ``height``."""
    if session.running:
        return _running(session, width, height)
    if session.state == "after":
        return _after(session, width)
    return _ready(session, width)


def message(session: Session, width: int, height: int) -> list[Text]:
    """What just happened, else what enter does now."""
    if session.message:
        loud = session.message.startswith(("ABORT", "NOT "))
        return wrapped(session.message, width, "bold reverse" if loud else "bold", most=height)
    if session.problem:
        return wrapped(f"The minutes are not whole: {session.problem}", width, "bold", most=height)
    if session.state == "ready":
        what = "when it is done" if session.step.pause else "to START the step"
        text = f"enter {what}, s to skip it"
    elif session.state == "after":
        last = session.at + 1 >= len(session.steps)
        text = "enter to finish" if last else "enter for the next step, q to end the day here"
    else:
        text = "a aborts and reverts at once"
    return wrapped(text, width, "bold", most=height)


def footer(width: int) -> Text:
    text = Text()
    for key, what in KEYS:
        text.append(" ")
        text.append(key, style="bold reverse")
        text.append(f" {what} ")
    return fitted(text, width)


def _title(session: Session, width: int) -> list[Text]:
    step = session.step
    head = f"Step {session.at + 1} of {len(session.steps)}: {step.name}"
    if step.repeats > 1:
        head += f", {step.repeats} times"
    if session.running and session.live.of > 1:
        head += f" (now {session.live.number})"
    return [fitted(Text(one_line(head), style="bold underline"), width)]


def _ready(session: Session, width: int) -> list[Text]:
    step = session.step
    lines = _title(session, width)
    for text, style in ((step.title, ""), (step.pause, "bold")):
        if text:
            lines += ["", *wrapped(text, width, style)]  # type: ignore[list-item]
    if step.hypothesis:
        lines += [Text(), Text("Hypothesis", style="bold"), *wrapped(step.hypothesis, width)]
    if step.ask:
        lines += [Text(), Text("Ask", style="bold"), *wrapped(step.ask, width)]
    return [Text() if line == "" else line for line in lines]


def _running(session: Session, width: int, height: int) -> list[Text]:
    live = session.live
    lines = _title(session, width)
    lines += wrapped("Hypothesis: " + (session.step.hypothesis or "none"), width, most=3)
    lines.append(Text())
    lines += [fitted(line, width) for line in (_phase(live), _fault(live), *_detection(live))]
    lines.append(Text())
    lines += charts(live, width)
    lines.append(Text())
    return [*lines[:height], *_tail(session.log, width, height - len(lines))]


def _tail(log: Iterable[str], width: int, room: int) -> list[Text]:
    """The last lines that were said, as many as there is room for; the newest is whole."""
    lines: list[Text] = []
    for text in reversed(list(log)):
        more = wrapped(one_line(text), width, "dim", most=3)
        if len(lines) + len(more) > room:
            break
        lines = more + lines
    return lines


def _phase(live: Live) -> Text:
    snapshot = live.snapshot
    text = Text.assemble(("phase     ", "bold"), live.phase or "starting")
    if snapshot is not None and snapshot.phase == live.phase:
        text.append(f" {format_duration(max(0.0, snapshot.t - snapshot.phase_started))}")
        if live.limit:
            word = "at most" if live.phase == "recovery" else "of"
            text.append(f" {word} {format_duration(live.limit)}")
        text.append(f" · health {one_line(snapshot.health)}, pilot {one_line(snapshot.pilot)}")
    return text


def _fault(live: Live) -> Text:
    text = Text("fault     ", style="bold")
    if live.in_force:
        names = ", ".join(one_line(name) for name in sorted(live.in_force))
        return text.append(f"IN FORCE: {names}", style="bold red")
    if live.reverted:
        return text.append("reverted", style="green")
    return text.append("nothing is in force", style="dim")


def _detection(live: Live) -> list[Text]:
    people, probe = "not yet (d)", "not yet"
    if live.injected_at is None:
        people = probe = "-"
    if live.people_at is not None:
        people = f"{seconds(live.since(live.people_at))} ({live.people})"
    if live.probe_at is not None:
        probe = f"{seconds(live.since(live.probe_at))}, {one_line(live.probe_text)}"
    return [
        Text.assemble(("people    ", "bold"), f"saw it: {people}"),
        Text.assemble(("probe     ", "bold"), f"saw it: {probe}"),
    ]


def charts(live: Live, width: int) -> list[Text]:
    """What clients feel, a second a column, the newest on the right."""
    room = max(1, width - _LABEL - 9)
    shown = list(live.series)[-room:]
    oks = [ok for ok, _, _ in shown]
    errors = [errors for _, errors, _ in shown]
    ttfts = [ttft for _, _, ttft in shown]
    last_ok = oks[-1] if oks else None
    last_ttft = ttfts[-1] if ttfts else None
    first = "-" if last_ttft is None else format_duration(last_ttft)
    rows = (
        ("ok", bars(oks, 1.0), "-" if last_ok is None else f"{last_ok:.0%}", "green"),
        ("errors/s", bars(errors), f"{errors[-1]:.1f}" if errors else "-", "red"),
        ("1st token", bars(ttfts), first, "cyan"),
    )
    return [
        Text.assemble((f"{name:<{_LABEL}}", "bold"), (line.rjust(room), style), f" {value:>7}")
        for name, line, value, style in rows
    ]


def bars(values: Sequence[float | None], top: float | None = None) -> str:
    """One character a value: a space where there is none, ``▁`` to ``█`` up to ``top`` (default the
    highest), ``x`` for a share of nothing."""
    highest = top if top is not None else max((v for v in values if v is not None), default=0.0)
    return "".join(_bar(value, highest, share=top is not None) for value in values)


def _bar(value: float | None, highest: float, *, share: bool) -> str:
    if value is None:
        return " "
    if share and value <= 0:
        return "x"
    if highest <= 0 or value <= 0:
        return "_" if not share else " "
    return _BLOCKS[min(len(_BLOCKS) - 1, int(value / highest * (len(_BLOCKS) - 0.001)))]


def _after(session: Session, width: int) -> list[Text]:
    lines = _title(session, width)
    for result in session.results:
        lines += [Text(), *_result(result, width)]
    if session.error is not None and session.error.hint:
        lines += [Text(), *wrapped("→ " + session.error.hint, width)]
    return lines


def _result(result: Result, width: int) -> list[Text]:
    sign, style = _MARKS[result.how]
    lines = wrapped(f"{sign} {sentence(result)}", width, f"bold {style}")
    found = result.verdict["recovery"]
    if found["injected_at"] is not None:
        people = seconds(result.by_people) if result.by_people is not None else "never said so"
        by = f" ({result.by_whom})" if result.by_whom else ""
        probe, clients = (
            "never" if found[key] is None else seconds(found[key] - found["injected_at"])
            for key in ("probe_detected_at", "detected_at")
        )
        text = f"seen after the injection: people {people}{by}, probe {probe}, clients {clients}"
        lines += wrapped(text, width)
    for reason in reasons(result):
        lines += wrapped(reason, width, most=3)
    lines += wrapped(f"{result.folder}/report.html", width, "dim")
    return lines
