from __future__ import annotations

from typing import Any

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.faults.container_pause import ContainerPause


def injected(world: FakeWorld) -> tuple[ContainerPause, dict[str, Any]]:
    fault = ContainerPause.model_validate({"type": "container_pause", "target": {"replica": 1}})
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return fault, state


def test_it_is_the_same_start_before_and_after(world: FakeWorld) -> None:
    began = world.containers.one().started
    fault, state = injected(world)
    assert world.containers.one().status == "paused"
    assert fault.verify(world, state).why == "shop-server-1: paused"
    assert ContainerPause.revert(world, state) == ""
    assert (world.containers.one().status, world.containers.one().started) == ("running", began)


def test_a_pause_without_effect_is_not_verified(world: FakeWorld) -> None:
    world.containers.immortal = True
    fault, state = injected(world)
    assert fault.verify(world, state).why == "shop-server-1 is running"


def test_one_that_was_killed_meanwhile_is_not_paused_any_more(world: FakeWorld) -> None:
    _, state = injected(world)
    world.containers.kill(world.containers.one().ref, 9)
    assert ContainerPause.revert(world, state) == ""
    assert world.containers.one().status == "exited", "that it is down is somebody else's doing"
    assert ContainerPause.verify_undone(world, state).answer == "yes"


def test_manual(world: FakeWorld) -> None:
    assert ContainerPause.manual(injected(world)[1]) == ["docker unpause shop-server-1"]
