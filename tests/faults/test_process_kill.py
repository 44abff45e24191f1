from __future__ import annotations

import signal
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.base import require_few
from vqchaos.faults.process_kill import ProcessKill


def kill(**settings: Any) -> ProcessKill:
    return ProcessKill.model_validate({"type": "process_kill", **settings})


@pytest.mark.parametrize("role", ["server", "engine", "worker"])
def test_it_kills_the_one_process_of_its_role(world: FakeWorld, role: str) -> None:
    if role == "worker":
        world.processes.spawn("worker")
    fault = kill(target=role)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert world.processes.signals == [(role, signal.SIGKILL)]
    assert role not in {ref.role for ref in world.processes.table}
    assert fault.target_name() == role


def test_the_default_is_the_engine(world: FakeWorld) -> None:
    assert "engine" in kill().plan(world)[0]


@pytest.mark.parametrize("step", ["plan", "capture"])
def test_no_such_process(world: FakeWorld, step: str) -> None:
    fault = kill(target="worker")
    with pytest.raises(FaultError, match="no worker process was found"):
        _ = fault.plan(world) if step == "plan" else fault.capture(world, ticket())


def test_more_than_max_targets_is_refused_by_name(world: FakeWorld) -> None:
    first, second = world.processes.spawn("worker"), world.processes.spawn("worker")
    fault = kill(target="worker")
    with pytest.raises(FaultError, match=rf"max_targets is 1: .*{first.pid}.*{second.pid}"):
        require_few(fault, world, 1)
    require_few(fault, world, 2)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    assert world.processes.find("worker") == []


def two_engines(world: FakeWorld) -> None:
    """The engine of a second server."""
    world.processes.spawn("engine", replica=2)


@pytest.mark.parametrize("number", [1, 2])
def test_the_engine_of_one_replica(world: FakeWorld, number: int) -> None:
    two_engines(world)
    fault = kill(target={"role": "engine", "replica": number})
    assert fault.target_name() == f"engine {number}"
    require_few(fault, world, 1)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert [ref.replica for ref in world.processes.find("engine")] == [3 - number]
    assert fault.verify(world, state).answer == "yes"


def test_any_replica_is_drawn_by_the_seed(world: FakeWorld) -> None:
    two_engines(world)
    fault = kill(target={"role": "engine", "replica": "any"})
    assert fault.targets(world)[0].startswith("one of process")
    require_few(fault, world, 1)
    drawn = {
        fault.capture(world, ticket(seed=seed))["processes"][0]["replica"] for seed in range(20)
    }
    assert drawn == {1, 2}
    with pytest.raises(FaultError, match="below replica 1, 2 only"):
        kill(target={"role": "engine", "replica": 3}).plan(world)
    with pytest.raises(FaultError, match="any 3 of engine"):
        kill(target={"role": "engine", "replica": "any", "count": 3}).plan(world)


def test_one_of_two_that_lives_on_is_not_verified(world: FakeWorld) -> None:
    world.processes.spawn("worker")
    fault = kill(target="worker")
    state = fault.capture(world, ticket())
    world.processes.spawn("worker", pid=0)
    state["processes"] += fault.capture(world, ticket())["processes"][-1:]
    first, second = state["processes"]
    assert first["pid"] != second["pid"]
    fault.inject(world, {"processes": [first]}, lambda: None)
    assert fault.verify(world, state).answer == "no"


def test_another_process_with_the_same_pid_is_not_killed(world: FakeWorld) -> None:
    fault = kill()
    state = fault.capture(world, ticket())
    world.processes.die("engine")
    stranger = world.processes.spawn("engine", pid=state["processes"][0]["pid"])
    with pytest.raises(FaultError, match="gone before it could be killed"):
        fault.inject(world, state, lambda: None)
    assert world.processes.table[stranger] == "running"


def test_a_process_that_lives_on_is_not_verified(world: FakeWorld) -> None:
    fault = kill()
    state = fault.capture(world, ticket())
    world.processes.immortal = True
    fault.inject(world, state, lambda: None)
    answer = fault.verify(world, state)
    assert answer.answer == "no"
    assert "still lives" in answer.why


def test_a_supervisor_that_is_quick_does_not_hide_the_kill(world: FakeWorld) -> None:
    world.processes.supervised = True
    fault = kill()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    assert len(world.processes.table) == 2


def test_settings() -> None:
    with pytest.raises(ValidationError, match="'server', 'engine' or 'worker'"):
        kill(target="gpu")
