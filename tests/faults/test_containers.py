"""What the container faults share: targets, and going through several containers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError, StackError
from vqchaos.faults.base import require_few
from vqchaos.faults.container_kill import ContainerKill
from vqchaos.faults.container_pause import ContainerPause


def pause(target: object = "server") -> ContainerPause:
    return ContainerPause.model_validate({"type": "container_pause", "target": target})


def picked(state: dict[str, Any]) -> list[str]:
    return [item["ref"]["name"] for item in state["containers"]]


@pytest.mark.parametrize(
    ("target", "name", "hits"),
    [
        ("server", "server", ["shop-server-1", "shop-server-2"]),
        ({"role": "server"}, "server", ["shop-server-1", "shop-server-2"]),
        ({"replica": 2}, "server 2", ["shop-server-2"]),
        ({"role": "router"}, "router", ["shop-router-1"]),
        ({"replica": "any", "count": 2}, "any 2 of server", ["shop-server-1", "shop-server-2"]),
    ],
)
def test_targets(world: FakeWorld, target: object, name: str, hits: list[str]) -> None:
    fault = pause(target)
    assert fault.target_name() == name
    assert picked(fault.capture(world, ticket())) == hits


def test_any_is_drawn_from_the_seed_and_kept_in_the_state(world: FakeWorld) -> None:
    fault = pause({"replica": "any"})
    assert fault.target_name() == "any server"
    drawn = [picked(fault.capture(world, ticket(seed=n)))[0] for n in range(20)]
    again = [picked(fault.capture(world, ticket(seed=n)))[0] for n in range(20)]
    assert drawn == again
    assert set(drawn) == {"shop-server-1", "shop-server-2"}
    state = fault.capture(world, ticket(seed=3))
    fault.inject(world, state, lambda: None)
    hit = [c.ref.name for c in world.containers.table.values() if c.status == "paused"]
    assert hit == picked(state)


def test_max_targets_counts_containers_by_name(world: FakeWorld) -> None:
    with pytest.raises(FaultError, match=r"max_targets is 1: shop-server-1, shop-server-2"):
        require_few(pause(), world, 1)
    require_few(pause(), world, 2)
    require_few(pause({"replica": "any"}), world, 1)
    assert pause({"replica": "any"}).plan(world)[0].endswith("one of shop-server-1, shop-server-2")
    with pytest.raises(FaultError, match="2 targets match"):
        require_few(pause({"replica": "any", "count": 2}), world, 1)


@pytest.mark.parametrize("step", ["plan", "capture"])
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("proxy", "no container of proxy runs"),
        ({"replica": 3}, "no container of server 3 runs"),
        ({"replica": "any", "count": 3}, "2 container of server any runs, and 3 are wanted"),
    ],
)
def test_too_few(world: FakeWorld, step: str, target: object, said: str) -> None:
    with pytest.raises(FaultError, match=said) as caught:
        _ = pause(target).plan(world) if step == "plan" else pause(target).capture(world, ticket())
    assert "name the services of that role" in str(caught.value.hint)


def test_one_that_does_not_run_is_no_target(world: FakeWorld) -> None:
    world.containers.one(replica=1).status = "exited"
    assert picked(pause().capture(world, ticket())) == ["shop-server-2"]


def test_where_one_fails_the_others_are_hit_and_undone_all_the_same(world: FakeWorld) -> None:
    fault = pause()
    state = fault.capture(world, ticket())
    world.containers.one(replica=1).status = "exited"
    with pytest.raises(FaultError, match="shop-server-1"):
        fault.inject(world, state, lambda: None)
    assert world.containers.one(replica=2).status == "paused"
    world.fail_at(2)  # the first's unpause
    with pytest.raises(StackError, match="no answer"):
        ContainerPause.revert(world, state)
    assert world.containers.one(replica=2).status == "running"


def test_one_that_was_removed_meanwhile_is_undone_with_a_note(world: FakeWorld) -> None:
    fault = pause()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    del world.containers.table[world.containers.one(replica=1).ref.id]
    assert ContainerPause.revert(world, state) == (
        "shop-server-1 is gone; there is nothing to undo on it"
    )
    assert ContainerPause.verify_undone(world, state).answer == "yes"
    assert world.containers.one(replica=2).status == "running"


def test_one_that_is_removed_in_mid_air(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = pause({"replica": 1})
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    work = world.containers.unpause

    def gone_first(ref: Any) -> None:
        world.containers.die()
        work(ref)

    monkeypatch.setattr(world.containers, "unpause", gone_first)
    assert "is gone" in ContainerPause.revert(world, state)


def test_keys_of_a_newer_version_do_no_harm(world: FakeWorld) -> None:
    fault = ContainerKill.model_validate({"type": "container_kill", "target": {"replica": 1}})
    state = fault.capture(world, ticket())
    state["containers"][0]["ref"]["node"] = "n1"
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("engine", "'server', 'router' or 'proxy'"),
        ({"role": "server", "replica": 0}, "expected a number from 1, any or all"),
        ({"replica": True}, "expected a number from 1, any or all"),
        ({"replica": "some"}, "expected a number from 1, any or all"),
        ({"count": 2}, "`count` goes with `replica: any`"),
        ({"replicas": 1}, "Extra inputs"),
    ],
)
def test_settings(target: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        pause(target)
