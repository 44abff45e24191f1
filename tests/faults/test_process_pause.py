from __future__ import annotations

import signal
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.base import require_few
from vqchaos.faults.process_pause import ProcessPause


def pause(**settings: Any) -> ProcessPause:
    return ProcessPause.model_validate({"type": "process_pause", **settings})


def test_it_stops_and_continues_the_same_process(world: FakeWorld) -> None:
    fault = pause()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    assert ProcessPause.revert(world, state) == ""
    assert world.processes.signals == [("engine", signal.SIGSTOP), ("engine", signal.SIGCONT)]


def test_one_that_is_stopped_already_is_refused(world: FakeWorld) -> None:
    (ref,) = world.processes.find("engine")
    world.processes.table[ref] = "stopped"
    with pytest.raises(FaultError, match="is stopped already"):
        pause().capture(world, ticket())


def test_no_such_process_and_more_than_one(world: FakeWorld) -> None:
    with pytest.raises(FaultError, match="no worker process"):
        pause(target="worker").plan(world)
    world.processes.spawn("engine")
    with pytest.raises(FaultError, match="2 targets match and max_targets is 1"):
        require_few(pause(), world, 1)


def test_all_of_a_role_are_stopped_and_continued(world: FakeWorld) -> None:
    world.processes.spawn("engine")
    fault = pause()
    require_few(fault, world, 2)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    assert [s for _, s in world.processes.signals] == [signal.SIGSTOP] * 2
    ProcessPause.revert(world, state)
    assert ProcessPause.verify_undone(world, state).answer == "yes"
    assert {world.processes.status(ref) for ref in world.processes.find("engine")} == {"running"}


def test_an_entry_of_the_first_version_is_read(world: FakeWorld) -> None:
    [process] = pause().capture(world, ticket())["processes"]
    (ref,) = world.processes.find("engine")
    world.processes.table[ref] = "stopped"
    assert ProcessPause.revert(world, {"process": process}) == ""
    assert world.processes.table[ref] == "running"


def test_another_process_with_the_same_pid_is_left_alone(world: FakeWorld) -> None:
    fault = pause()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    world.processes.die("engine")
    stranger = world.processes.spawn("engine", pid=state["processes"][0]["pid"])
    world.processes.table[stranger] = "stopped"  # by somebody else
    assert "gone" in ProcessPause.revert(world, state)
    assert world.processes.table[stranger] == "stopped"
    assert ProcessPause.verify_undone(world, state).answer == "yes"


def test_one_that_died_before_is_an_error(world: FakeWorld) -> None:
    fault = pause()
    state = fault.capture(world, ticket())
    world.processes.die()
    with pytest.raises(FaultError, match="gone before it could be stopped"):
        fault.inject(world, state, lambda: None)


def test_signals_without_effect_are_seen(world: FakeWorld) -> None:
    fault = pause()
    state = fault.capture(world, ticket())
    world.processes.immortal = True
    fault.inject(world, state, lambda: None)
    assert "is running" in fault.verify(world, state).why
    (ref,) = world.processes.find("engine")
    world.processes.table[ref] = "stopped"
    ProcessPause.revert(world, state)
    assert ProcessPause.verify_undone(world, state).answer == "no"


def test_manual_names_the_process(world: FakeWorld) -> None:
    state = pause().capture(world, ticket())
    assert ProcessPause.manual(state) == [f"kill -CONT {state['processes'][0]['pid']}"]


def test_settings() -> None:
    with pytest.raises(ValidationError, match="'server', 'engine' or 'worker'"):
        pause(target="gpu")
