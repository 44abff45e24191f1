from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.container_kill import ContainerKill


def kill(**settings: Any) -> ContainerKill:
    data = {"type": "container_kill", "target": {"role": "server", "replica": 1}, **settings}
    return ContainerKill.model_validate(data)


def test_a_crash_lets_the_restart_policy_act(world: FakeWorld) -> None:
    fault = kill()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    container = world.containers.one()
    assert (container.status, container.restarts) == ("running", 1)
    assert fault.verify(world, state).answer == "yes"
    assert world.containers.one(replica=2).restarts == 0


def test_a_crash_without_a_policy_is_seen_too(world: FakeWorld) -> None:
    world.containers.one().policy = False
    fault = kill()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert world.containers.one().status == "exited"
    assert fault.verify(world, state).answer == "yes"


def test_dockers_own_kill_suppresses_the_policy_and_the_plan_says_so(world: FakeWorld) -> None:
    fault = kill(via="docker")
    assert fault.plan(world)[0] == "docker kill shop-server-1"
    assert "will not start it again" in fault.plan(world)[-1]
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    container = world.containers.one()
    assert (container.status, container.restarts, container.exit_code) == ("exited", 0, 137)
    assert fault.verify(world, state).answer == "yes"


def test_a_kill_is_told_from_one_for_want_of_memory(world: FakeWorld) -> None:
    fault = kill()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).why.endswith("; no out-of-memory kill")
    world.containers.one().oom_moments.append(world.clock.wall())
    assert fault.verify(world, state).why.endswith("; and 1 out-of-memory kill(s)")


def test_one_that_lives_on_is_not_verified(world: FakeWorld) -> None:
    fault = kill()
    state = fault.capture(world, ticket())
    world.containers.immortal = True
    fault.inject(world, state, lambda: None)
    answer = fault.verify(world, state)
    assert (answer.answer, answer.why) == ("no", "shop-server-1 still runs, since before")


def test_one_that_ended_before_is_an_error(world: FakeWorld) -> None:
    fault = kill()
    state = fault.capture(world, ticket())
    world.containers.one().status = "exited"
    with pytest.raises(FaultError, match="cannot crash"):
        fault.inject(world, state, lambda: None)


def test_manual_starts_what_docker_would_not(world: FakeWorld) -> None:
    assert ContainerKill.manual(kill().capture(world, ticket())) == ["docker start shop-server-1"]


def test_settings() -> None:
    with pytest.raises(ValidationError, match="'crash' or 'docker'"):
        kill(via="kubectl")
