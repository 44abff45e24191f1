"""What is on the screen fits it, at any size, with any words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from tests.gameday.day import STEPS, Day
from tests.report.verdicts import NASTY
from vqchaos.gameday import drawing
from vqchaos.gameday.feed import Injected, PhaseBegan, Probed, Recorded, Said, Tick
from vqchaos.gameday.live import StepFacts
from vqchaos.runner.progress import Snapshot


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    made = Day(tmp_path)
    yield made
    made.minutes.close()


def plain(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def in_mid_fault(day: Day) -> None:
    day.to_running()
    day.session.hear(PhaseBegan("fault", 15.0, 25.0))
    for second in range(60):
        ok = 1.0 if second < 40 else 0.0
        snapshot = Snapshot(
            float(second), "fault", 40.0, 15.0, 9, 1, recent_rate=4.0, recent_ok=ok,
            recent_ttft=0.02, health="200", pilot="served",
        )  # fmt: skip
        day.session.hear(Tick(snapshot))
    day.inject()
    day.clock.advance(2.0)
    day.session.hear(Probed("health 503", day.clock.now()))
    for number in range(30):
        day.session.hear(Said(f"line {number}", float(number)))


def test_a_step_that_waits_shows_hypothesis_and_question(day: Day) -> None:
    day.session.skip()
    shown = plain(drawing.body(day.session, 55, 20))
    for words in ("Step 2 of 3: hang", "health says so within five", "Who sees it?"):
        assert words in shown
    assert "START" in plain(drawing.message(day.session, 80, 2))


def test_a_pause_shows_what_people_do(day: Day) -> None:
    assert "Open the dashboards" in plain(drawing.body(day.session, 55, 20))
    assert "when it is done" in plain(drawing.message(day.session, 80, 2))


def test_a_running_step_shows_phase_fault_detection_and_charts(day: Day) -> None:
    in_mid_fault(day)
    lines = drawing.body(day.session, 55, 20)
    shown = plain(lines)
    assert len(lines) <= 20
    for words in (
        "health says so", "fault 19s of 15s", "IN FORCE: pause", "people    saw it: not yet (d)",
        "probe     saw it: 2.00 s, health 503", "xxxxx", "4.0", "20ms", "line 29",
    ):  # fmt: skip
        assert words in shown, shown
    day.session.seen()
    assert "saw it: 2.00 s (eva)" in plain(drawing.body(day.session, 55, 20))
    day.undo()
    assert "fault     reverted" in plain(drawing.body(day.session, 55, 20))


def test_a_result_has_the_sentence_each_reason_and_both_detections(day: Day) -> None:
    in_mid_fault(day)
    day.session.seen()
    day.undo()
    day.run_over()
    day.step_over()
    shown = plain(drawing.body(day.session, 55, 20))
    for words in ("fail: 1 of 3 checks passed", "recovery_time", "people 2.00 s (eva)", "probe"):
        assert words in shown, shown


def test_an_abort_is_loud(day: Day) -> None:
    in_mid_fault(day)
    day.session.abort()
    day.undo()
    [line] = drawing.message(day.session, 80, 2)
    assert "everything reverted" in line.plain
    assert "reverse" in str(line.style)


def test_the_keys_fit_eighty_columns() -> None:
    assert cell_len(drawing.footer(80).plain) <= 80
    assert "…" not in drawing.footer(80).plain
    assert "help" in drawing.footer(80).plain


def test_a_long_plan_keeps_the_current_step_in_sight(tmp_path: Path) -> None:
    day = Day(tmp_path, tuple(StepFacts(f"step{n}", pause="x") for n in range(50)))
    for _ in range(30):
        day.session.go_on()
    lines = drawing.plan(day.session, 23, 10)
    assert len(lines) == 10
    assert any(line.plain.startswith("> 31.") for line in lines)
    day.minutes.close()


def test_words_of_the_target_stay_words(day: Day) -> None:
    day.to_running()
    day.session.hear(Said(NASTY, 1.0))
    day.session.hear(Recorded(NASTY))
    day.session.hear(Injected(NASTY, day.clock.now()))
    day.session.hear(Probed(NASTY, day.clock.now()))
    lines = drawing.body(day.session, 55, 20)
    shown = plain(lines)
    assert "[bold]<b>&" in shown
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
    assert "\u202e" not in shown
    assert all("bold" not in str(span.style) for span in lines[-1].spans)


@given(
    st.text(max_size=200),
    st.integers(20, 200),
    st.integers(5, 60),
    st.sampled_from(["ready", "running", "after"]),
)
def test_no_line_is_ever_wider_than_the_screen(
    tmp_path_factory: pytest.TempPathFactory, text: str, width: int, height: int, state: str
) -> None:
    step = StepFacts("s", title=text, hypothesis=text, ask=text)
    day = Day(tmp_path_factory.mktemp("day"), (step, *STEPS))
    day.session.hand_over(text)
    if state != "ready":
        day.to_running(0)
        day.inject(text)
        day.session.hear(Said(text, 1.0))
        day.session.hear(Probed(text, day.clock.now()))
    if state == "after":
        day.run_over(title=text, findings=[{"kind": text, "text": text}])
        day.step_over()
    lines = [
        drawing.header(day.session, day.plan, text, day.clock.now(), width),
        drawing.footer(width),
        *drawing.plan(day.session, width, height),
        *drawing.body(day.session, width, height),
        *drawing.message(day.session, width, height),
    ]
    assert all(cell_len(line.plain) <= width for line in lines)
    if state == "running":
        assert len(drawing.body(day.session, width, height)) <= height
    day.minutes.close()


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=50))
def test_a_chart_has_a_character_a_value(values: list[float | None]) -> None:
    for top in (None, 1.0):
        drawn = drawing.bars(values, top)
        assert len(drawn) == len(values)
        assert all((v is None) <= (c == " ") for v, c in zip(values, drawn, strict=True))
