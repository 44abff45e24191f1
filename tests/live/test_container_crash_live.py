"""Killed runners with container faults in force, on a real daemon: everything comes back.

Five busybox containers, each hit by another fault; see ``tests/live/docker_place``."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.crash.harness import PATIENCE, settled, victim
from tests.live.docker_place import FAULTS, DockerPlace, limited
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import ExitCode

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
LAST = len(FAULTS)
# `make crash` has every step, signal and injection.
STEPS = ("hold", "during-revert")
INJECTIONS = (1, 2, 4)
LATENCY = {"type": "latency", "latency": "50ms"}
POLITE = [("hold", signal.SIGINT)]


@pytest.fixture
def five(place: DockerPlace) -> DockerPlace:
    place.servers(LAST, **limited())
    assert place.effects() == []
    return place


def nth(step: str) -> int:
    return 1 if step in ("preflight", "recovery") else LAST


def comes_back(place: DockerPlace) -> bool:
    """A container that was killed is started again in its own time."""
    return wait_until(lambda: place.effects() == [], PATIENCE, CLOCK)


@pytest.mark.parametrize("step", STEPS)
def test_a_runner_killed_at_each_step_is_cleaned_up_by_its_watchdog(
    five: DockerPlace, step: str
) -> None:
    with victim(step, five.words(*FAULTS), five.out, env=five.env, nth=nth(step)) as runner:
        runner.await_step()
        if step == "hold":
            assert len(five.effects()) >= LAST - 1, "all that are held"
        runner.process.kill()
        assert wait_until(lambda: runner.ended_as() == "died", PATIENCE, CLOCK)
        assert wait_until(lambda: settled(five.state), PATIENCE, CLOCK)
    assert comes_back(five), five.effects()
    assert wait_until((runner.folder / "verdict.json").exists, PATIENCE, CLOCK)
    assert five.verdict()["leftovers"] == []


@pytest.mark.parametrize(("step", "number"), POLITE, ids=lambda v: getattr(v, "name", v))
def test_a_signal_reverts_everything(five: DockerPlace, step: str, number: signal.Signals) -> None:
    with victim(step, five.words(*FAULTS), five.out, env=five.env, nth=nth(step)) as runner:
        runner.await_step()
        runner.process.send_signal(number)
        assert runner.ends() == 128 + number
        assert settled(five.state)
    assert comes_back(five), five.effects()


@pytest.mark.parametrize("number", INJECTIONS, ids=lambda n: FAULTS[n - 1]["type"])
def test_killed_inside_each_injection(five: DockerPlace, number: int) -> None:
    words = five.words(*FAULTS)
    with victim("during-inject", words, five.out, env=five.env, nth=number) as runner:
        runner.await_step()
        runner.process.kill()
        assert wait_until(lambda: runner.ended_as() == "died", PATIENCE, CLOCK)
        assert wait_until(lambda: settled(five.state), PATIENCE, CLOCK)
    assert comes_back(five), five.effects()


def test_runner_and_watchdog_killed_leaves_it_to_heal(five: DockerPlace) -> None:
    with victim("hold", five.words(*FAULTS), five.out, env=five.env, nth=LAST) as runner:
        runner.await_step()
        dog = runner.watchdog()
        assert dog is not None
        dog.kill()
        runner.process.kill()
        runner.process.wait(PATIENCE)
    assert len(five.effects()) >= LAST - 1
    refused = five.call("run", str(five.folder / "experiment.yaml"), "-s", str(five.stack_file))
    assert refused.returncode == ExitCode.UNCLEAN
    healed = five.call("heal", "--stack", str(five.stack_file))
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert comes_back(five), five.effects()
    logs = [path.name for path in (five.last_run() / "logs").iterdir()]
    assert len(logs) == LAST, "the dead run has its containers' logs too"


def test_the_ledger_lost_too_leaves_what_has_a_mark(five: DockerPlace) -> None:
    """The toxic goes by its name, what fills a container by its own deadline; the lowered limit
    has no mark: docs/safety.md says what to do."""
    lease = {"CRASH_LEASE": "0"}
    memory = FAULTS[1]
    words = five.words(LATENCY, memory)
    with victim("hold", words, five.out, env={**five.env, **lease}, nth=2) as runner:
        runner.await_step()
        dog = runner.watchdog()
        assert dog is not None
        dog.kill()
        runner.process.kill()
        runner.process.wait(PATIENCE)
    shutil.rmtree(five.state)
    expired = CLOCK.wall() + 1.5
    assert wait_until(lambda: CLOCK.wall() > expired, PATIENCE, CLOCK)
    done = five.call("heal", "--stack", str(five.stack_file))
    assert done.returncode == ExitCode.PASS, done.stdout + done.stderr
    left = f"{five.project.name}-server-2 has "
    assert wait_until(
        lambda: all(effect.startswith(left) for effect in five.effects()), 2 * PATIENCE, CLOCK
    ), five.effects()
