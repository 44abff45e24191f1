"""The screen at 80x24: keys do what they say, and nothing is clipped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.gameday.day import Day
from tests.report.verdicts import NASTY, verdict
from vqchaos.gameday.feed import Injected, Recorded, RunBegan, RunOver, Said, StepOver
from vqchaos.gameday.screen import GameDayApp

if TYPE_CHECKING:
    from vqchaos.stack.protocols import Stack

Script = Callable[[Pilot[None], Day], Awaitable[None]]


class NamedStack:
    name = "fake"


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    made = Day(tmp_path)
    yield made
    made.minutes.close()


def play(day: Day, script: Script, size: tuple[int, int] = (80, 24)) -> GameDayApp:
    app = GameDayApp(day.table, day.plan, cast("Stack", NamedStack()), day.clock)

    async def whole() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(pilot, day)

    asyncio.run(whole())
    assert app.bug is None, app.bug
    return app


def lines_of(app: GameDayApp) -> list[str]:
    """What the terminal would show."""
    strips = app.screen._compositor.render_strips(app.size)
    return ["".join(segment.text for segment in strip) for strip in strips]


def shown(pilot: Pilot[None]) -> str:
    return "\n".join(lines_of(cast("GameDayApp", pilot.app)))


async def start(pilot: Pilot[None], day: Day) -> None:
    """Step 2 runs and its fault is in force."""
    await pilot.press("s", "enter")
    day.feed.put(RunBegan("hang", 1, 1))
    day.feed.put(Recorded("pause"))
    day.feed.put(Injected("pause", day.clock.now()))
    day.table.pull()


def test_everything_is_on_the_screen(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        day.session.hear(Said("pause injected, verified", 3.0))
        await pilot.press("question_mark", "question_mark")
        text = shown(pilot)
        lines = text.split("\n")
        assert len(lines) == 24
        assert all(len(line) <= 80 for line in lines)
        for words in (
            "at the switch: eva", "> 2. hang", "Hypothesis: health says so", "IN FORCE: pause",
            "errors/s", "1st token", "pause injected, verified", "a aborts and reverts at once",
            "enter go on", "ABORT", "I see it", "? help",
        ):  # fmt: skip
            assert words in text, text

    play(day, script)


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (200, 60), (20, 6)])
def test_no_size_breaks_it(day: Day, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("d")
        assert len(shown(pilot).split("\n")) == size[1]

    play(day, script, size)
    assert day.session.live.people_at is not None


@pytest.mark.parametrize("key", ["a", "ctrl+c"])
def test_one_key_aborts(day: Day, key: str) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press(key)
        assert day.hands.did[-1] == "abort"
        day.clock.advance(0.34)
        day.undo()
        day.aborted()
        await pilot.press("question_mark", "question_mark")
        assert "ABORTED: everything reverted 0.34 s after the key" in shown(pilot)
        assert "aborted; nothing was judged" in shown(pilot)
        await pilot.press("enter")
        assert day.session.at == 2

    play(day, script)


def test_ctrl_c_aborts_also_while_a_note_is_typed_and_a_does_not(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("n", "a", "d", "q")
        assert day.hands.did == ["start 1"]
        await pilot.press("ctrl+c")
        assert day.hands.did[-1] == "abort"
        await pilot.press("enter")
        assert day.last("note")["text"] == "adq"

    play(day, script)


def test_with_a_note_open_no_key_does_anything_but_ctrl_c(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await pilot.press("s", "n", "h", "i", "tab", "shift+tab", "a", "enter")
        assert day.hands.did == []
        assert day.last("note")["text"] == "hia"
        await pilot.press("n", "x", "ctrl+q")
        assert not pilot.app.query_one(Input).display
        assert "End the day with 2 of its steps not begun?" in shown(pilot)
        await pilot.press("n", "enter")
        assert day.hands.did == ["start 1"]
        assert day.kinds().count("note") == 1

    play(day, script)


def test_with_caps_lock_the_keys_are_the_same(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("D")
        assert day.session.live.people == "eva"
        await pilot.press("Q", "N", "N", "X", "enter")
        assert day.last("note")["text"] == "X"
        await pilot.press("A")
        assert day.hands.did[-1] == "abort"

    play(day, script)


def test_a_key_that_does_nothing_says_which_do(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await pilot.press("x")
        assert "Ctrl-C aborts, ? lists the keys" in shown(pilot)

    play(day, script)


def test_people_see_it_also_while_a_question_is_open(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("q", "d")
        assert day.session.live.people == "eva"
        assert "Abort it, revert, and end the day?" in shown(pilot)

    play(day, script)


def test_a_question_whose_step_is_over_is_dropped(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("q")
        day.undo()
        day.feed.put(RunOver(verdict(verdict="pass", valid=True, exit_code=0), Path("runs/one")))
        day.feed.put(StepOver())
        await pilot.press("y")  # before the screen heard of it
        assert day.session.state == "after"
        assert "Abort it" not in shown(pilot)
        await pilot.press("enter")
        assert day.session.at == 2

    play(day, script)


def test_a_note_is_of_the_moment_of_its_key(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        wall = day.clock.wall()
        await pilot.press("n")
        day.clock.advance(9.0)
        await pilot.press("o", "h", "enter")
        assert day.last("note")["text"] == "oh"
        assert day.last("note")["wall"] == pytest.approx(wall, abs=0.001)
        await pilot.press("n", "x", "escape", "d")  # dropped; keys are keys again
        assert day.kinds().count("note") == 1
        assert day.session.live.people == "eva"

    play(day, script)


def test_the_switch_changes_hands(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await pilot.press("o", "b", "o", "enter")
        assert "at the switch: bo" in shown(pilot)

    play(day, script)
    assert day.last("operator")["to"] == "bo"


def test_d_is_the_peoples_detection(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        day.clock.advance(2.5)
        await pilot.press("d")
        assert "saw it: 2.50 s (eva)" in shown(pilot)

    play(day, script)


@pytest.mark.parametrize(("answer", "aborted"), [("y", True), ("n", False), ("escape", False)])
def test_to_end_asks_while_a_step_runs(day: Day, answer: str, aborted: bool) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("q")
        assert "Abort it, revert, and end the day?" in shown(pilot)
        await pilot.press(answer)
        assert (day.hands.did[-1] == "abort") is aborted
        if aborted:
            day.undo()
            day.aborted()

    play(day, script)
    assert day.session.over is aborted


def test_to_end_with_steps_left_asks_too(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await pilot.press("q")
        assert "End the day with 3 of its steps not begun?" in shown(pilot)
        await pilot.press("y")

    play(day, script)
    assert day.session.over


def test_abort_needs_no_answer_to_an_open_question(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        await pilot.press("q", "a")
        assert day.hands.did[-1] == "abort"

    play(day, script)


def test_a_signal_ends_the_screen(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        day.outer.abort("aborted from another terminal")
        while not day.session.over:
            await pilot.pause(0.02)

    app = play(day, script)
    assert day.session.signal is not None
    assert app.return_code == 0


def test_words_of_the_target_stay_words(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        day.session.hear(Said(NASTY, 1.0))
        day.session.hear(Said("[@click=app.exit]press[/] [red]x[/red]", 1.0))
        await pilot.press("question_mark", "question_mark")
        text = shown(pilot)
        assert "[bold]<b>&" in text
        assert "[@click=app.exit]press[/] [red]x[/red]" in text
        assert "\x1b" not in text

    play(day, script)


def test_a_long_result_scrolls(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await start(pilot, day)
        day.undo()
        findings: list[dict[str, Any]] = [{"kind": "x", "text": f"finding {n}"} for n in range(40)]
        day.run_over(findings=findings)
        day.step_over()
        await pilot.press("question_mark", "question_mark")
        assert "finding 39" not in shown(pilot)
        await pilot.press("end")
        await pilot.pause()
        assert "report.html" in shown(pilot)

    play(day, script)


def test_help_says_every_key(day: Day) -> None:
    async def script(pilot: Pilot[None], day: Day) -> None:
        await pilot.press("question_mark")
        text = shown(pilot)
        assert "ABORT: every fault is reverted at once" in " ".join(text.split())
        await pilot.press("enter")  # closes it and starts nothing
        assert day.session.at == 0
        assert not pilot.app.query_one(Input).display

    play(day, script)


def test_an_error_of_the_screen_ends_it_without_a_traceback_of_textual(
    day: Day, capfd: pytest.CaptureFixture[str]
) -> None:
    app = GameDayApp(day.table, day.plan, cast("Stack", NamedStack()), day.clock)

    def broken() -> None:
        raise RuntimeError("a bug of the session")

    async def whole() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            day.session.skip = broken  # type: ignore[method-assign]
            await pilot.press("s")

    with pytest.raises(RuntimeError, match="a bug of the session"):
        asyncio.run(whole())
    assert isinstance(app.bug, RuntimeError)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_without_colour_every_mark_is_a_sign(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(pilot: Pilot[None], day: Day) -> None:
        assert pilot.app.no_color
        await start(pilot, day)
        await pilot.press("a")
        day.undo()
        day.aborted()
        await pilot.press("question_mark", "question_mark")
        text = shown(pilot)
        assert "■ 2. hang" in text
        assert "ABORTED: everything reverted" in text

    play(day, script)
