"""The crash suite's fast half: real runners, real watchdogs, real signals; the world is a fake
Toxiproxy behind its real API, and a file. The live half is `make crash`."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from tests.crash.child import STEPS
from tests.crash.conftest import Place
from tests.crash.harness import PATIENCE, ROOT, settled, victim
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import ExitCode
from vqchaos.ledger import Ledger
from vqchaos.runner.lock import stack_lock
from vqchaos.runner.watchdog import Watchdog

pytestmark = pytest.mark.crash
CLOCK = RealClock()
LAST = 3  # the faults of the experiment: at the last one the others are in force
ONCE = ("preflight", "recovery")
POLITE = [
    *((step, signal.SIGTERM) for step in STEPS),
    ("hold", signal.SIGINT),
    ("during-inject", signal.SIGHUP),
    ("during-revert", signal.SIGINT),
]


def nth(step: str) -> int:
    return 1 if step in ONCE else LAST


def vqchaos(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    with start(place, *words) as process:
        out, errors = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(words, process.returncode, out, errors)


def start(place: Place, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vqchaos", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


@pytest.mark.parametrize(("step", "number"), POLITE, ids=lambda v: getattr(v, "name", v))
def test_a_signal_at_each_step_reverts_everything(
    place: Place, step: str, number: signal.Signals
) -> None:
    with victim(step, place.words, place.out, nth=nth(step)) as runner:
        runner.await_step()
        runner.process.send_signal(number)
        assert runner.ends() == 128 + number
        assert place.effects() == []
        assert settled(place.state)
        assert runner.ended_as() == "interrupted"


@pytest.mark.parametrize("step", STEPS)
def test_a_runner_killed_at_each_step_is_cleaned_up_by_its_watchdog(
    place: Place, step: str
) -> None:
    with victim(step, place.words, place.out, nth=nth(step)) as runner:
        runner.await_step()
        runner.process.kill()
        over = wait_until(lambda: runner.ended_as() == "died", PATIENCE, CLOCK)
        assert over, (place.state / "watchdog.log").read_text()
        assert wait_until(lambda: settled(place.state), PATIENCE, CLOCK)
        assert place.effects() == []
        undone = [e["entry"] for e in runner.history() if e["type"] == "fault.undone"]
        assert len(undone) == len(set(undone)), "nothing is undone twice"
        assert wait_until((runner.folder / "verdict.json").exists, PATIENCE, CLOCK)
        verdict = json.loads((runner.folder / "verdict.json").read_text())
        assert (verdict["valid"], verdict["leftovers"]) == (False, [])


def test_runner_and_watchdog_killed_leaves_it_to_heal(place: Place) -> None:
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        dog = runner.watchdog()
        assert dog is not None
        dog.kill()
        runner.process.kill()
        runner.process.wait(PATIENCE)
        assert len(place.effects()) == 4, "three faults and a mark"
        refused = vqchaos(place, *place.words, "--out", str(place.folder / "again"))
        assert refused.returncode == ExitCode.UNCLEAN
        assert "vqchaos heal" in refused.stderr
        listed = vqchaos(place, "heal", "--dry-run", "--json")
        [found] = json.loads(listed.stdout)
        assert [f["type"] for f in found["faults"]] == ["proxy_down", "command", "latency"]
        assert not any(f["owner"]["alive"] for f in found["faults"])
        assert len(place.effects()) == 4, "a dry run touches nothing"
        healed = vqchaos(place, "heal")
        assert (healed.returncode, place.effects()) == (0, []), healed.stdout + healed.stderr
        assert runner.ended_as() == "died"
        assert vqchaos(place, "heal").stdout == "no faults in force\n"


def test_runner_watchdog_and_ledger_lost_leaves_it_to_the_marks(place: Place) -> None:
    lease = {"CRASH_LEASE": "0"}  # the marks expire at once
    with victim("hold", place.words, place.out, nth=LAST, env=lease) as runner:
        runner.await_step()
        dog = runner.watchdog()
        assert dog is not None
        dog.kill()
        runner.process.kill()
        runner.process.wait(PATIENCE)
        shutil.rmtree(place.state)
        place.mark.unlink()  # a command leaves no mark in the world: safety.md says so
        expired = CLOCK.wall() + 1.5
        assert wait_until(lambda: CLOCK.wall() > expired, PATIENCE, CLOCK)
    done = vqchaos(place, *place.words, "--out", str(place.folder / "again"))
    assert "expired mark" in done.stderr
    assert "reverted" in done.stderr
    assert done.returncode in (ExitCode.PASS, ExitCode.UNKNOWN), done.stderr
    assert place.effects() == []


def test_a_live_mark_of_a_foreign_run_is_a_refusal(place: Place) -> None:
    foreign = f"vqchaos.20261101T000000Z-other-1a2b.0.{int(CLOCK.wall()) + 600}"
    toxics = place.toxiproxy.proxies["vllm"]["toxics"]
    toxics.append({**toxics[0], "name": foreign})
    done = vqchaos(place, *place.words, "--out", str(place.out))
    assert done.returncode == ExitCode.UNCLEAN, done.stderr
    assert "20261101T000000Z-other-1a2b" in done.stderr
    healed = vqchaos(place, "heal", "--stack", str(place.stack_file))
    assert healed.returncode == ExitCode.UNCLEAN
    assert "left alone" in healed.stdout
    assert place.effects() == [f"toxic {foreign}"]


def test_a_hung_runner_is_ended_and_cleaned_up_by_abort(place: Place) -> None:
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        runner.process.send_signal(signal.SIGSTOP)
        done = vqchaos(place, "abort")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "does not answer" in done.stderr
        assert runner.process.wait(PATIENCE) == -signal.SIGKILL
        assert place.effects() == []
        assert wait_until(lambda: settled(place.state), PATIENCE, CLOCK), "the watchdog looks too"


def test_abort_and_mark_reach_a_live_run(place: Place) -> None:
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        marked = vqchaos(place, "mark", "the pager \x1b[31mrang")
        assert marked.returncode == 0, marked.stderr
        assert vqchaos(place, "heal", "--stack", str(place.stack_file)).returncode == 3
        with start(place, "abort", "--block", "30m") as asking:
            assert asking.stderr is not None
            assert "answered" in asking.stderr.readline()
            runner.go_on()
            assert asking.wait(PATIENCE) == 0
        assert runner.process.wait(PATIENCE) == ExitCode.SIGTERM
        assert (place.effects(), settled(place.state)) == ([], True)
        [note] = [e for e in runner.history() if e["type"] == "note" and e["source"] == "person"]
        assert note["text"] == "the pager rang"
    refused = vqchaos(place, *place.words, "--out", str(place.out))
    assert refused.returncode == ExitCode.UNKNOWN
    assert "--block 0s" in refused.stderr
    assert (
        vqchaos(place, "abort", "--block", "0s", "--stack", str(place.stack_file)).returncode == 0
    )


def test_without_a_watchdog_it_is_recorded_and_heal_does_the_work(place: Place) -> None:
    with victim("hold", [*place.words, "--no-watchdog"], place.out, nth=LAST) as runner:
        runner.await_step()
        assert runner.watchdog() is None
        runner.process.kill()
        runner.process.wait(PATIENCE)
        assert any("--no-watchdog" in e["text"] for e in runner.history() if e["type"] == "note")
        assert len(Ledger(place.state).in_force()) == LAST
        assert vqchaos(place, "heal").returncode == 0
        assert place.effects() == []


def test_a_watchdog_that_dies_is_replaced(place: Place) -> None:
    with victim("before-ledger", place.words, place.out) as runner:
        runner.await_step()
        first = runner.watchdog()
        assert first is not None
        first.kill()
        assert wait_until(
            lambda: (dog := runner.watchdog()) is not None and dog.pid != first.pid, PATIENCE, CLOCK
        )
        assert runner.ends() in (ExitCode.PASS, ExitCode.UNKNOWN)
        assert place.effects() == []


def test_an_experiment_and_stack_file_deleted_in_mid_run_change_nothing(place: Place) -> None:
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        place.experiment.unlink()
        place.stack_file.unlink()
        runner.process.kill()
        assert wait_until(lambda: runner.ended_as() == "died", PATIENCE, CLOCK)
        assert place.effects() == []


def test_a_second_signal_does_not_hurry_the_undo(place: Place) -> None:
    with victim("before-revert", place.words, place.out) as runner:
        runner.await_step()
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            runner.process.send_signal(number)
        assert runner.ends() in (ExitCode.SIGINT, ExitCode.SIGTERM)
        assert (place.effects(), settled(place.state)) == ([], True)


def test_a_second_runner_is_refused_and_leaves_the_first_alone(place: Place) -> None:
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        second = vqchaos(place, *place.words, "--out", str(place.folder / "second"))
        assert second.returncode == ExitCode.UNKNOWN
        assert "vqchaos abort" in second.stderr
        assert len(place.effects()) == 4
        assert runner.ends() in (ExitCode.PASS, ExitCode.UNKNOWN)
        assert place.effects() == []


def test_a_closed_terminal_reverts_everything(place: Place) -> None:
    near, far = pty.openpty()
    with victim("hold", place.words, place.out, nth=LAST, terminal=far) as runner:
        os.close(far)
        runner.await_step()
        os.close(near)  # the kernel sends SIGHUP, and every word to the terminal now fails
        assert runner.ends() == ExitCode.SIGHUP
        assert (place.effects(), settled(place.state)) == ([], True)
        assert runner.ended_as() == "interrupted"


def test_a_clock_set_back_changes_nothing(place: Place) -> None:
    env = {"CRASH_DO": "clock-back"}
    with victim("hold", place.words, place.out, nth=LAST, env=env) as runner:
        runner.await_step()
        assert runner.ends() in (ExitCode.PASS, ExitCode.UNKNOWN)
        assert (place.effects(), settled(place.state)) == ([], True)
        assert runner.ended_as() == "completed"


@pytest.mark.parametrize("step", ["before-ledger", "hold"])
def test_a_full_disk_stops_no_undo(place: Place, step: str) -> None:
    """Neither ledger nor history can grow: what is in force is reverted all the same, and where the
    ledger cannot say so, the next run asks for `heal`, which finds nothing to do."""
    env = {"CRASH_DO": "disk-full"}
    with victim(step, place.words, place.out, nth=LAST, env=env) as runner:
        runner.await_step()
        code = runner.ends()
        assert code == ExitCode.UNCLEAN, runner.process.communicate()
        assert place.effects() == []
        said = runner.process.communicate()[1]
        assert "Traceback" not in said
        assert "make room" in said
    healed = vqchaos(place, "heal")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert settled(place.state)


def test_a_proxy_that_hangs_is_left_to_heal_with_the_manual_steps(place: Place) -> None:
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        place.toxiproxy.hang = "."
        runner.process.send_signal(signal.SIGTERM)
        assert runner.ends() == ExitCode.UNCLEAN
        assert not place.mark.exists(), "what does not need the proxy is reverted"
        stuck = vqchaos(place, "heal")
        assert stuck.returncode == ExitCode.UNCLEAN
        assert "by hand: " in stuck.stdout
        place.toxiproxy.hang = ""
        assert vqchaos(place, "heal").returncode == 0
        assert (place.effects(), settled(place.state)) == ([], True)


@pytest.mark.parametrize("number", [signal.SIGINT, None], ids=["SIGINT", "nothing else"])
def test_a_reader_that_goes_away_stops_no_undo(place: Place, number: signal.Signals | None) -> None:
    """As in `vqchaos run … 2>&1 | tee log` when tee dies."""
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        for pipe in (runner.process.stdout, runner.process.stderr):
            assert pipe is not None
            pipe.close()
        runner.process.stdout = runner.process.stderr = None
        if number is not None:
            runner.process.send_signal(number)
        code = runner.ends()
        assert code == 128 + number if number is not None else code in (0, ExitCode.UNKNOWN)
        assert (place.effects(), settled(place.state)) == ([], True)
        assert runner.ended_as() == ("completed" if number is None else "interrupted")


def test_heal_never_calls_a_stack_clean_that_it_could_not_look_at(place: Place) -> None:
    with victim("hold", [*place.words, "--no-watchdog"], place.out, nth=LAST) as runner:
        runner.await_step()
        live = vqchaos(place, "heal", "--dry-run")
        assert live.returncode == ExitCode.UNKNOWN
        assert "vqchaos abort" in live.stderr
        assert "no faults" not in live.stdout
        runner.process.kill()
        runner.process.wait(PATIENCE)
        for damaged in ("{", None):
            remembered = place.state / "stack.json"
            remembered.unlink() if damaged is None else remembered.write_text(damaged)
            for words in (["heal"], ["heal", "--json"], ["abort"]):
                done = vqchaos(place, *words)
                assert done.returncode == ExitCode.UNCLEAN, (words, done.stdout, done.stderr)
                assert "--stack FILE" in done.stderr
                assert "no faults" not in done.stdout
        assert len(place.effects()) == 4
        healed = vqchaos(place, "heal", "--stack", str(place.stack_file))
        assert (healed.returncode, place.effects()) == (0, []), healed.stdout + healed.stderr


def test_a_toxiproxy_that_cannot_be_reached_is_not_called_undone(place: Place) -> None:
    with victim("hold", [*place.words, "--no-watchdog"], place.out, nth=LAST) as runner:
        runner.await_step()
        runner.process.kill()
        runner.process.wait(PATIENCE)
    text = place.stack_file.read_text(encoding="utf-8")
    elsewhere = text.replace(place.toxiproxy.url, "http://no-such-host.invalid:1")
    place.stack_file.write_text(elsewhere, encoding="utf-8")
    stuck = vqchaos(place, "heal", "--stack", str(place.stack_file))
    assert stuck.returncode == ExitCode.UNCLEAN
    assert "cannot be reached" in stuck.stdout
    assert "by hand: " in stuck.stdout
    place.stack_file.write_text(text, encoding="utf-8")
    assert vqchaos(place, "heal", "--stack", str(place.stack_file)).returncode == 0
    assert place.effects() == []


def test_a_watchdog_that_dies_while_it_is_asked_for_is_replaced_once(place: Place) -> None:
    with stack_lock(place.state, "a test", CLOCK), Watchdog(place.stack, beat=0.01) as guard:
        guard.run_begins(place.folder, 60.0)
        for _ in range(3):
            pid = int(guard.ensure().split()[-1])
            os.kill(pid, signal.SIGKILL)  # the beat and this thread now both see it
            said = guard.ensure()
            assert psutil.Process(int(said.split()[-1])).status() != psutil.STATUS_ZOMBIE
