from __future__ import annotations

from typing import Any

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.faults.container_stop import ContainerStop


def injected(world: FakeWorld) -> tuple[ContainerStop, dict[str, Any]]:
    fault = ContainerStop.model_validate({"type": "container_stop", "target": {"replica": 1}})
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return fault, state


def test_it_stays_stopped_until_the_undo_starts_it(world: FakeWorld) -> None:
    fault, state = injected(world)
    container = world.containers.one()
    assert (container.status, container.restarts) == ("exited", 0)
    assert fault.verify(world, state).answer == "yes"
    assert ContainerStop.revert(world, state) == ""
    assert container.status == "running"


def test_one_that_somebody_started_is_left_alone(world: FakeWorld) -> None:
    _, state = injected(world)
    container = world.containers.one()
    world.containers.start(container.ref)
    began = container.started
    ContainerStop.revert(world, state)
    assert (container.status, container.started) == ("running", began)
    assert ContainerStop.verify_undone(world, state).answer == "yes"


def test_one_that_dies_again_at_once_is_not_undone(world: FakeWorld) -> None:
    _, state = injected(world)
    ContainerStop.revert(world, state)
    world.containers.one().status = "exited"
    answer = ContainerStop.verify_undone(world, state)
    assert (answer.answer, answer.why) == ("no", "shop-server-1 is exited")


def test_plan_and_manual(world: FakeWorld) -> None:
    fault, state = injected(world)
    assert ContainerStop.manual(state) == ["docker start shop-server-1"]
    ContainerStop.revert(world, state)
    assert fault.plan(world)[0] == "docker stop shop-server-1, SIGKILL after 10s"
