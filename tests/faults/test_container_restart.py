from __future__ import annotations

from typing import Any

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.faults.container_restart import ContainerRestart


def restart(**settings: Any) -> ContainerRestart:
    data = {"type": "container_restart", "target": {"replica": 1}, **settings}
    return ContainerRestart.model_validate(data)


def test_a_new_start_is_the_proof(world: FakeWorld) -> None:
    fault = restart()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    assert world.containers.one().restarts == 0, "Docker does not count it as its policy's"


def test_one_that_was_not_restarted_is_not_verified(world: FakeWorld) -> None:
    fault = restart()
    state = fault.capture(world, ticket())
    world.containers.immortal = True
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).why == "shop-server-1 did not start anew"


def test_one_that_was_removed_is_no_new_start(world: FakeWorld) -> None:
    fault = restart()
    state = fault.capture(world, ticket())
    world.containers.die()
    assert fault.verify(world, state).answer == "no"


def test_the_plan_says_its_grace(world: FakeWorld) -> None:
    fault = restart(grace="3s")
    assert fault.plan(world)[0] == "docker restart shop-server-1, SIGKILL after 3s"
    state = fault.capture(world, ticket())
    assert ContainerRestart.manual(state) == ["docker start shop-server-1"]
