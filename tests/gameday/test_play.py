"""Whole game days with real runs, against a scripted server and a fake world; the screen is a
script."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.runner.fake_stack import QUICK, FakeStack, Lab
from tests.scripted_server import ScriptedServer
from vqchaos.cli.app import run
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import (
    CapabilityMissing,
    ExitCode,
    StackLocked,
    StackUnhealthy,
    UncleanError,
    UsageError,
)
from vqchaos.experiment.gameday import GameDay
from vqchaos.gameday.play import Loaded, Played, Table, play
from vqchaos.history.events import Note, RunEnded
from vqchaos.history.store import read
from vqchaos.judge import judge_folder
from vqchaos.ledger import Ledger
from vqchaos.runner.control import ask
from vqchaos.runner.lock import stack_lock
from vqchaos.runner.progress import Snapshot
from vqchaos.runner.sets import Planned, SetOptions
from vqchaos.stack.protocols import Capability

LATENCY = {"type": "latency", "latency": "50ms"}
LONG = {**QUICK, "fault": "30s"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ScriptedServer() as http:
        stack = FakeStack(tmp_path, http, FakeWorld(tmp_path / "world"))
        yield Lab(stack, tmp_path / "runs")


def loaded(lab: Lab, *experiments: dict[str, Any] | None) -> Loaded:
    """A step each; None is a pause."""
    steps: list[dict[str, str]] = []
    planned: list[Planned | None] = []
    for number, more in enumerate(experiments):
        if more is None:
            steps.append({"pause": "look", "name": f"p{number}"})
            planned.append(None)
        else:
            steps.append({"experiment": "x.yaml", "name": f"s{number}"})
            experiment = lab.experiment(LATENCY, **more)
            planned.append(Planned(experiment, Path("x.yaml"), named=True))
    return Loaded(
        GameDay.model_validate({"name": "day", "title": "A day", "steps": steps}), planned
    )


def played(lab: Lab, plan: Loaded, script: Callable[[Table], None], **options: Any) -> Played:
    return play(
        plan, lab.stack, RealClock(), SetOptions(out=lab.out, **options), "eva",
        lambda table, _day, _stack: script(table),
    )  # fmt: skip


def until(table: Table, condition: Callable[[], object]) -> None:
    def holds() -> bool:
        table.pull()
        return bool(condition())

    assert wait_until(holds, 30.0, RealClock(), every=0.02), table.session.state


def in_force(table: Table) -> bool:
    return bool(table.session.live.in_force) and table.session.live.injected_at is not None


def records(done: Played) -> list[dict[str, Any]]:
    text = (done.folder / "minutes.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_day_from_the_first_step_to_the_report(lab: Lab) -> None:
    def script(table: Table) -> None:
        session = table.session
        session.go_on()  # the pause
        session.go_on()
        until(table, lambda: in_force(table))
        session.seen()
        session.note("we see it")
        until(table, lambda: session.state == "after")
        session.go_on()
        session.skip()

    checks = [{"type": "no_residue"}]
    done = played(lab, loaded(lab, None, {"checks": checks}, {"checks": checks}), script)
    assert done.exit_code == ExitCode.PASS, done.summary
    summary = json.loads((done.folder / "summary.json").read_text())
    assert summary["exit_code"] == 0
    assert [run["experiment"] for run in summary["runs"]] == ["trial"]
    assert [item["experiment"] for item in summary["skipped"]] == ["s2"]
    [pause, run_row, skipped] = summary["gameday"]["rows"]
    assert (pause["how"], run_row["how"], skipped["how"]) == ("done", "pass", "skipped")
    assert run_row["by_people"] > 0
    minutes = (done.folder / "minutes.md").read_text()
    for words in ("A day", "eva", "note: we see it", "people saw it after", "skipped by eva"):
        assert words in minutes, minutes
    page = (done.folder / "index.html").read_text()
    assert "Minutes of the game day" in page
    assert "note: we see it" in page
    events = read(lab.out / run_row["dir"] / "history.jsonl")
    notes = [e.text for e in events if isinstance(e, Note) and e.source == "person"]
    assert notes == ["detected by people (eva)", "eva: we see it"]
    assert run(["report", str(done.folder)]) == ExitCode.PASS


def test_an_abort_reverts_at_once_and_the_day_goes_on(lab: Lab) -> None:
    def script(table: Table) -> None:
        session = table.session
        session.go_on()
        until(table, lambda: in_force(table))
        session.abort()
        until(table, lambda: session.live.reverted_after is not None)
        assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}
        assert Ledger(lab.stack.state_dir).in_force() == []
        until(table, lambda: session.state == "after")
        session.go_on()
        session.go_on()
        until(table, lambda: session.state == "after")
        session.go_on()

    done = played(lab, loaded(lab, {"phases": LONG}, {}), script)
    first, second = done.summary["runs"]
    assert second["valid"]
    rows = done.summary["gameday"]["rows"]
    assert [row["how"] for row in rows] == ["aborted", second["verdict"]]
    assert 0 <= rows[0]["reverted_after"] < 5
    assert done.exit_code == ExitCode.SIGINT  # an interrupted run among them
    ended = read(lab.out / first["dir"] / "history.jsonl")[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.how, ended.why) == ("interrupted", "aborted by a key")


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_reverts_ends_the_day_and_is_its_exit_code(lab: Lab, signum: int) -> None:
    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: in_force(table))
        signal.raise_signal(signum)
        until(table, lambda: table.session.over)

    done = played(lab, loaded(lab, {"phases": LONG}, {}), script)
    assert done.exit_code == 128 + signum
    assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}
    assert Ledger(lab.stack.state_dir).in_force() == []
    kinds = [record["kind"] for record in records(done)]
    assert kinds[-1] == "session.ended"
    assert "reverted" in kinds


def test_a_signal_is_the_exit_code_also_after_an_aborted_step(lab: Lab) -> None:
    def script(table: Table) -> None:
        session = table.session
        session.go_on()
        session.abort()
        until(table, lambda: session.state == "after")
        signal.raise_signal(signal.SIGTERM)
        until(table, lambda: session.over)

    assert played(lab, loaded(lab, {"phases": LONG}, {}), script).exit_code == ExitCode.SIGTERM


def test_a_signal_in_the_moment_of_enter_is_not_lost(lab: Lab) -> None:
    def script(table: Table) -> None:
        minutes = table.session._minutes
        write = minutes.write

        def write_and_signal(record: dict[str, Any]) -> None:
            write(record)
            if record["kind"] == "step.started":
                signal.raise_signal(signal.SIGTERM)

        minutes.write = write_and_signal  # type: ignore[method-assign]
        table.session.go_on()
        until(table, lambda: table.session.over)

    done = played(lab, loaded(lab, {"phases": LONG}, {}), script)
    assert done.exit_code == ExitCode.SIGTERM
    assert "fault.injected" not in [record["kind"] for record in records(done)]
    assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}


def test_a_screen_that_goes_away_leaves_nothing_in_force(lab: Lab) -> None:
    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: in_force(table))

    done = played(lab, loaded(lab, {"phases": LONG}), script)
    assert done.exit_code == ExitCode.SIGHUP
    assert Ledger(lab.stack.state_dir).in_force() == []
    assert "the screen went away" in records(done)[-1]["why"]


def test_a_screen_that_crashes_leaves_nothing_in_force_and_is_told(lab: Lab) -> None:
    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: in_force(table))
        raise RuntimeError("a bug of the screen")

    with pytest.raises(RuntimeError, match="a bug of the screen"):
        played(lab, loaded(lab, {"phases": LONG}), script)
    assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}
    assert Ledger(lab.stack.state_dir).in_force() == []


def test_an_error_in_what_the_runs_tell_reverts_before_the_stack_is_given_back(lab: Lab) -> None:
    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: in_force(table))

        def broken(snapshot: Snapshot) -> None:
            raise ZeroDivisionError("a bug of the session")

        table.session._sample = broken  # type: ignore[method-assign]
        until(table, lambda: False)

    with pytest.raises(ZeroDivisionError, match="a bug of the session"):
        played(lab, loaded(lab, {"phases": LONG}), script)
    assert Ledger(lab.stack.state_dir).in_force() == []
    [minutes] = lab.out.glob("*-gameday-*/minutes.jsonl")
    kinds = [json.loads(line)["kind"] for line in minutes.read_text().splitlines()]
    assert kinds[-1] == "session.ended"  # what followed the error was heard all the same
    assert "reverted" in kinds


def test_a_screen_that_never_returns_holds_up_no_end(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    left = threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    monkeypatch.setattr("vqchaos.gameday.stalled.leave", leave)
    monkeypatch.setattr("vqchaos.gameday.stalled.PATIENCE", 0.1)

    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: in_force(table))
        signal.raise_signal(signal.SIGTERM)
        assert left.wait(30.0)  # and pulls nothing

    with pytest.raises(SystemExit):
        played(lab, loaded(lab, {"phases": LONG}), script)
    assert codes == [ExitCode.SIGTERM]
    [folder] = lab.out.glob("*-gameday-*")
    kinds = [json.loads(x)["kind"] for x in (folder / "minutes.jsonl").read_text().splitlines()]
    assert kinds[-1] == "session.ended"
    assert "reverted" in kinds
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == ExitCode.SIGTERM
    assert (folder / "index.html").exists()


def test_other_terminals_are_heard_for_the_whole_day(lab: Lab) -> None:
    def script(table: Table) -> None:
        session = table.session
        state = lab.stack.state_dir
        assert not ask(state, {"do": "mark", "text": "x"}, 5.0)["ok"]  # no run yet
        with pytest.raises(StackLocked), stack_lock(state, "another", RealClock()):
            pass
        session.go_on()
        until(table, lambda: in_force(table))
        assert ask(state, {"do": "mark", "text": "from afar"}, 5.0)["ok"]
        assert ask(state, {"do": "abort"}, 5.0)["ok"]
        until(table, lambda: session.over)

    done = played(lab, loaded(lab, {"phases": LONG}, {}), script)
    assert done.exit_code == ExitCode.SIGTERM
    assert "aborted from another terminal" in records(done)[-1]["why"]


def test_repeats_are_made_one_after_another_and_an_abort_ends_them_all(lab: Lab) -> None:
    def script(table: Table) -> None:
        session = table.session
        session.go_on()
        until(table, lambda: session.live.number == 2 and in_force(table))
        session.abort()
        until(table, lambda: session.state == "after")
        session.end()

    done = played(lab, loaded(lab, {"repeat": 5}), script)
    assert len(done.summary["runs"]) == 2
    assert [row["how"] for row in done.summary["gameday"]["rows"]][-1] == "aborted"


def test_a_step_in_which_the_session_was_killed_has_a_row_and_its_run(lab: Lab) -> None:
    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: in_force(table))
        table.session.seen()
        until(table, lambda: table.session.state == "after")
        table.session.end()

    done = played(lab, loaded(lab, {}, {}), script)
    minutes = done.folder / "minutes.jsonl"
    lines = minutes.read_bytes().splitlines(keepends=True)
    ended = next(n for n, line in enumerate(lines) if b'"run.ended"' in line)
    minutes.write_bytes(b"".join(lines[:ended]))
    (done.folder / "summary.json").unlink()
    assert run(["report", str(done.folder)]) == ExitCode.PASS
    summary = json.loads((done.folder / "summary.json").read_text())
    assert [found["dir"] for found in summary["runs"]] == [done.summary["runs"][0]["dir"]]
    [row] = summary["gameday"]["rows"]
    assert (row["how"], row["dir"]) == ("killed", summary["runs"][0]["dir"])
    people = done.summary["gameday"]["rows"][0]["by_people"]
    assert row["by_people"] == pytest.approx(people, abs=0.001)
    assert row["injected_wall"] is not None
    assert "killed" in (done.folder / "minutes.md").read_text()


def test_a_note_begun_in_one_run_is_not_in_the_next_ones_history(lab: Lab) -> None:
    def script(table: Table) -> None:
        session = table.session
        session.go_on()
        until(table, lambda: in_force(table))
        pressed = RealClock().now()
        until(table, lambda: session.live.number == 2 and in_force(table))
        session.note("it began with the first fault", pressed)
        until(table, lambda: session.state == "after")
        session.go_on()

    done = played(lab, loaded(lab, {"repeat": 2}), script)
    for found in done.summary["runs"]:
        events = read(lab.out / found["dir"] / "history.jsonl")
        assert not [e for e in events if isinstance(e, Note) and e.source == "person"]
    assert "it began with" in (done.folder / "minutes.md").read_text()


def test_what_health_says_usually_is_no_detection(lab: Lab) -> None:
    lab.stack.http.health = "404"

    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: table.session.state == "after")
        table.session.go_on()

    done = played(lab, loaded(lab, {}), script)
    assert "probe" not in [record["kind"] for record in records(done)]


def test_an_abort_while_a_run_is_judged_is_an_abort(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging, judge = threading.Event(), threading.Event()

    def slow(folder: Path) -> dict[str, Any]:
        judging.set()
        assert judge.wait(30.0)
        return judge_folder(folder)

    monkeypatch.setattr("vqchaos.runner.sets.judge_folder", slow)

    def script(table: Table) -> None:
        session = table.session
        session.go_on()
        until(table, judging.is_set)
        session.abort()
        judge.set()
        until(table, lambda: session.state == "after")
        session.go_on()

    done = played(lab, loaded(lab, {"repeat": 3, "checks": [{"type": "no_residue"}]}), script)
    assert done.exit_code == ExitCode.SIGINT
    assert len(done.summary["runs"]) == 1
    assert done.summary["gameday"]["rows"][-1]["why"] == "1 of 3 runs made"


def test_a_mistake_in_a_step_does_not_hide_that_the_stack_is_unclean(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [UsageError("cannot write"), UncleanError("in force")]

    def fails(*_args: object) -> None:
        raise errors.pop()

    monkeypatch.setattr("vqchaos.runner.sets.require_clean", fails)

    def script(table: Table) -> None:
        for _ in range(2):
            table.session.go_on()
            until(table, lambda: table.session.state == "after")
            table.session.go_on()

    assert played(lab, loaded(lab, {}, {}), script).exit_code == ExitCode.UNCLEAN


def test_what_the_stack_cannot_do_is_told_before_the_first_step(lab: Lab) -> None:
    def script(table: Table) -> None:
        raise AssertionError

    plan = loaded(lab, None, {})
    lab.stack.lacks = {Capability.PROXY: "no proxy here"}
    with pytest.raises(CapabilityMissing, match="no proxy here"):
        played(lab, plan, script)
    lab.stack.lacks = {}
    lab.stack.environment = "production"
    with pytest.raises(UsageError, match="--yes"):
        played(lab, plan, script)
    assert not lab.out.exists()


def test_a_stack_that_does_not_serve_is_told_before_the_first_step(lab: Lab) -> None:
    plan = loaded(lab, {})
    lab.stack.http.behaviour = "shed"
    with pytest.raises(StackUnhealthy, match="no token came back"):
        played(lab, plan, lambda _table: None)


def test_of_a_killed_day_the_report_has_what_was_written(lab: Lab, tmp_path: Path) -> None:
    def script(table: Table) -> None:
        table.session.go_on()
        until(table, lambda: table.session.state == "after")
        table.session.note("then the power went")
        table.session.end()

    done = played(lab, loaded(lab, {}, {}), script)
    kept = {"minutes.jsonl"}
    for path in done.folder.iterdir():
        if path.name not in kept:
            path.unlink()
    minutes = done.folder / "minutes.jsonl"
    lines = minutes.read_bytes().splitlines(keepends=True)
    minutes.write_bytes(b"".join(lines[:-1]) + lines[-1][:10])  # cut in mid-line
    assert run(["report", str(done.folder)]) == ExitCode.PASS
    text = (done.folder / "minutes.md").read_text()
    assert "was killed" in text
    assert "then the power went" in text
    assert json.loads((done.folder / "summary.json").read_text())["exit_code"] == ExitCode.UNKNOWN
