from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gameday.day import Day
from vqchaos.errors import StackError
from vqchaos.gameday.feed import RunBegan, StepOver, Tick, Undone
from vqchaos.gameday.minutes import read_minutes
from vqchaos.report.minutes import minutes_data, sentence
from vqchaos.runner.progress import Snapshot


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    made = Day(tmp_path)
    yield made
    made.minutes.close()


def test_nothing_begins_before_people_confirm_it(day: Day) -> None:
    session = day.session
    assert (session.state, day.hands.did) == ("ready", [])
    session.go_on()  # the pause is done
    assert (session.at, session.state, session.marks[0]) == (1, "ready", "done")
    assert day.hands.did == []
    session.go_on()
    assert (session.state, day.hands.did) == ("running", ["start 1"])
    session.go_on()
    assert "a` aborts" in session.message
    assert day.hands.did == ["start 1"]


def test_a_whole_day(day: Day) -> None:
    session = day.session
    for _ in range(2):
        session.go_on()
    day.run_over(verdict="pass", valid=True)
    day.step_over()
    assert (session.state, session.marks) == ("after", ["done", "pass", "todo"])
    session.go_on()
    assert (session.state, session.at) == ("ready", 2)
    session.skip()
    assert session.over
    assert session.marks == ["done", "pass", "skipped"]
    assert day.last("session.ended")["why"] == "all steps are done"
    assert read_minutes(day.minutes.path) == day.minutes.records
    assert {record["who"] for record in day.minutes.records} == {"eva"}


def test_an_abort_reverts_before_anything_else_and_is_measured_from_the_key(day: Day) -> None:
    session = day.session
    day.to_running()
    day.inject()
    pressed = day.clock.now()
    session.abort(pressed)
    assert day.hands.did[-1] == "abort"
    assert session.state == "reverting"
    day.clock.advance(0.34)
    day.undo()
    assert "everything reverted 0.34 s after the key" in session.message
    day.aborted()
    assert session.message.startswith("ABORTED: everything reverted 0.34 s after the key")
    assert session.marks[1] == "aborted"
    assert session.state == "after"  # go on, or end
    assert day.last("run.ended")["reverted_after"] == 0.34
    assert day.last("reverted")["wall"] - day.last("abort")["wall"] == pytest.approx(0.34, abs=0.01)
    session.go_on()
    assert (session.at, session.state) == (2, "ready")


def test_with_two_faults_the_last_one_counts(day: Day) -> None:
    day.to_running()
    day.inject("one")
    day.inject("two")
    day.session.abort()
    day.clock.advance(0.2)
    day.undo("two", left=1)
    assert day.session.live.reverted_after is None
    assert "one" in day.session.live.in_force
    day.clock.advance(0.2)
    day.undo("one")
    assert day.session.live.reverted_after == pytest.approx(0.4)


def test_an_unreadable_ledger_claims_nothing(day: Day) -> None:
    day.to_running()
    day.inject()
    day.session.abort()
    day.undo(left=None)
    assert day.session.live.reverted_after is None
    assert "ABORTED" not in day.session.message


def test_an_abort_before_the_injection_says_that_nothing_was_in_force(day: Day) -> None:
    day.to_running()
    day.session.abort()
    day.aborted()
    assert day.session.message == "ABORTED: nothing was in force."
    assert day.last("run.ended")["why"] == "nothing was in force"


def test_a_second_abort_hurries_nothing_and_one_without_a_step_does_nothing(day: Day) -> None:
    day.session.abort()
    assert day.hands.did == []
    day.to_running()
    day.session.abort(1.0)
    day.session.abort(2.0)
    assert day.session.live.aborted_at == 1.0
    assert day.kinds().count("abort") == 1


def test_a_run_that_was_over_before_the_key_keeps_its_verdict(day: Day) -> None:
    day.to_running()
    day.inject()
    day.undo()
    day.session.abort()
    day.run_over(verdict="pass", valid=True, exit_code=0)
    day.step_over()
    assert day.session.marks[1] == "pass"


def test_what_could_not_be_reverted_is_said_loudly(day: Day) -> None:
    day.to_running()
    day.inject()
    day.session.abort()
    day.undo(left=1)
    day.run_over(exit_code=4)
    day.step_over()
    assert day.session.marks[1] == "unclean"
    assert day.session.message.startswith("NOT everything")


@pytest.mark.parametrize(("left", "said"), [(1, "NOT everything"), (None, "cannot be read")])
def test_another_abort_after_an_unclean_step_claims_nothing(
    day: Day, left: int | None, said: str
) -> None:
    day.to_running()
    day.inject()
    day.session.abort()
    day.undo(left=1)
    day.run_over(exit_code=4)
    day.step_over()
    day.hands.left = left
    day.session.abort()
    assert said in day.session.message
    assert "nothing is in force" not in day.session.message


def test_people_see_it_once_a_run(day: Day) -> None:
    session = day.session
    day.to_running()
    session.seen()
    assert "false alarm" in session.message
    assert day.last("detected")["since"] is None
    day.inject()
    day.clock.advance(3.5)
    session.seen()
    assert "3.50 s after the injection" in session.message
    day.clock.advance(1.0)
    session.seen()
    assert "Seen already, 3.50 s" in session.message
    assert [r["since"] for r in day.minutes.records if r["kind"] == "detected"] == [None, 3.5]
    assert any("detected by people (eva)" in text for text, _ in day.hands.notes)
    session.hear(RunBegan("hang", 2, 2))
    assert session.live.people_at is None


def test_a_key_before_the_injection_that_the_screen_heard_of_late_is_a_false_alarm(
    day: Day,
) -> None:
    day.to_running()
    before = day.clock.now()
    day.clock.advance(0.05)
    day.inject()
    day.session.seen(before)
    assert day.session.live.people_at is None


def test_a_note_has_the_time_of_its_key(day: Day) -> None:
    day.to_running()
    pressed = day.clock.now()
    wall = day.clock.wall()
    day.clock.advance(12.0)
    day.session.note("the \x1b[31mpager\x1b[0m\n is silent", pressed)
    assert day.last("note")["text"] == "the pager is silent"
    assert day.last("note")["wall"] == pytest.approx(wall, abs=0.001)
    assert day.hands.notes[-1] == ("eva: the pager is silent", pressed)
    day.session.note("  ")
    assert day.kinds().count("note") == 1


def test_who_is_at_the_switch_is_in_every_record(day: Day) -> None:
    day.session.hand_over("bo")
    day.session.skip()
    assert (day.last("operator")["from"], day.last("operator")["to"]) == ("eva", "bo")
    assert day.last("step.ended")["who"] == "bo"
    assert day.last("step.ended")["why"] == "skipped by bo"
    day.session.hand_over("bo")
    assert day.kinds().count("operator") == 1


def test_to_end_while_a_step_runs_aborts_it_first(day: Day) -> None:
    day.to_running()
    day.inject()
    day.session.end()
    assert day.hands.did[-1] == "abort"
    assert day.session.state == "reverting"
    day.undo()
    day.aborted()
    assert day.session.over
    assert "1 of 3 steps not begun" in day.last("session.ended")["why"]


def test_a_signal_ends_the_day_once_everything_is_reverted(day: Day) -> None:
    day.to_running()
    day.inject()
    day.session.stopped(signal.SIGHUP, "interrupted by SIGHUP")
    day.session.stopped(signal.SIGHUP, "again")
    assert day.session.state == "reverting"
    day.clock.advance(0.1)
    day.undo()
    assert "after the signal" in day.session.message
    day.aborted()
    assert day.session.over
    assert day.session.marks[1] == "interrupted"
    assert day.kinds().count("signal") == 1


@pytest.mark.parametrize(
    ("why", "by"),
    [
        ("interrupted by SIGTERM", "the signal"),
        ("aborted from another terminal", "`vqchaos abort`"),
        ("the terminal went away", "the terminal went away"),
    ],
)
def test_a_stop_that_the_screen_hears_of_late_is_measured_from_when_it_came(
    day: Day, why: str, by: str
) -> None:
    day.to_running()
    day.inject()
    day.hands.asked_at = day.clock.now()
    day.clock.advance(0.25)
    undone = day.clock.now()
    day.clock.advance(0.1)
    day.session.stopped(signal.SIGTERM, why)
    day.session.hear(Undone("pause", "yes", undone, 0))
    day.aborted()
    assert day.session.message == f"ABORTED: everything reverted 0.25 s after {by}."
    assert sentence(day.last("reverted")) == f"everything reverted 0.25 s after {by}"
    assert day.last("run.ended")["why"] == ""


def test_an_abort_after_the_revert_does_not_say_that_nothing_was_in_force(day: Day) -> None:
    day.to_running()
    day.inject()
    day.undo()
    day.clock.advance(0.1)
    day.session.abort()
    day.aborted()
    assert day.session.message == "ABORTED: everything is reverted."
    assert day.last("run.ended")["why"] == ""


def test_runs_that_an_abort_left_out_are_told(day: Day) -> None:
    day.to_running(2)
    day.inject()
    day.undo()
    day.session.abort()  # while the first run is judged
    day.run_over(verdict="pass", valid=True, exit_code=0)
    day.step_over()
    assert day.session.marks[2] == "aborted"
    assert "1 of 2 runs were made" in day.session.message
    rows = minutes_data(day.minutes.records)["rows"][-2:]
    assert [(row["how"], row["why"]) for row in rows] == [
        ("pass", rows[0]["why"]),
        ("aborted", "1 of 2 runs made"),
    ]


def test_an_error_of_one_step_is_not_the_next_ones(day: Day) -> None:
    day.to_running()
    day.session.hear(StepOver(StackError("the stack went away", hint="up")))
    day.session.go_on()
    day.session.go_on()
    assert day.session.error is None
    assert len(day.session.errors) == 1


def test_a_signal_between_two_steps_ends_at_once(day: Day) -> None:
    day.session.stopped(signal.SIGTERM, "aborted from another terminal")
    assert day.session.over
    assert "aborted from another terminal" in day.last("session.ended")["why"]


def test_a_step_that_cannot_begin_is_told_and_the_day_goes_on(day: Day) -> None:
    day.to_running()
    day.session.hear(StepOver(StackError("the stack went away", hint="up")))
    assert (day.session.state, day.session.marks[1]) == ("after", "error")
    assert "went away" in day.session.message
    assert day.last("step.ended")["why"] == "the stack went away"


def test_the_charts_have_a_value_a_second(day: Day) -> None:
    day.to_running()
    for tenth in range(30):
        snapshot = Snapshot(tenth / 10, "fault", 0.0, 10.0, 1, 0, recent_rate=4.0, recent_ok=0.5)
        day.session.hear(Tick(snapshot))
    assert list(day.session.live.series) == [(0.5, 2.0, None)] * 3


def test_minutes_that_cannot_be_written_end_nothing(day: Day) -> None:
    whole = day.minutes._fd
    day.minutes._fd = os.open("/dev/full", os.O_WRONLY)
    day.session.skip()
    assert "No space left" in day.session.problem
    assert day.session.at == 1
    os.close(day.minutes._fd)
    day.minutes._fd = whole
    assert "step.ended" in day.kinds()  # the report at the end has it all the same
