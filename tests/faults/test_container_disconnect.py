from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.container_disconnect import ContainerDisconnect
from vqchaos.stack.container_protocols import Attachment

BACK = Attachment("shop_back", ("cache",), ipv4="10.1.2.3", links=("shop-db-1:db",))


@pytest.fixture(autouse=True)
def two_networks(world: FakeWorld) -> None:
    world.containers.one().networks.append(BACK)


def injected(world: FakeWorld, **more: Any) -> tuple[ContainerDisconnect, dict[str, Any]]:
    data = {"type": "container_disconnect", "target": {"replica": 1}, **more}
    fault = ContainerDisconnect.model_validate(data)
    state = json.loads(json.dumps(fault.capture(world, ticket())))
    fault.inject(world, state, lambda: None)
    return fault, state


def test_off_all_networks_and_back_with_aliases_and_addresses(world: FakeWorld) -> None:
    before = list(world.containers.one().networks)
    fault, state = injected(world)
    assert world.containers.one().networks == []
    assert fault.verify(world, state).answer == "yes"
    ContainerDisconnect.revert(world, state)
    assert world.containers.one().networks == before
    assert ContainerDisconnect.verify_undone(world, state).answer == "yes"


@pytest.mark.parametrize("network", ["shop_back", "back"])
def test_off_one_network_by_either_name(world: FakeWorld, network: str) -> None:
    injected(world, network=network)
    assert [place.network for place in world.containers.one().networks] == ["shop_default"]


def test_a_network_that_it_is_not_on(world: FakeWorld) -> None:
    with pytest.raises(FaultError, match="is not on the network front"):
        injected(world, network="front")
    world.containers.one().networks = []
    with pytest.raises(FaultError, match="on no network that it can be taken off"):
        injected(world)


def test_back_without_its_aliases_is_not_undone(world: FakeWorld) -> None:
    _, state = injected(world)
    ContainerDisconnect.revert(world, state)
    world.containers.connect(world.containers.one().ref, Attachment("shop_back", ()))
    answer = ContainerDisconnect.verify_undone(world, state)
    assert (answer.answer, answer.why) == ("no", "shop-server-1 is not on shop_back as before")


def test_off_a_network_on_which_it_had_no_alias_is_not_undone(world: FakeWorld) -> None:
    world.containers.one().networks = [Attachment("bridge", ())]
    _, state = injected(world)
    assert ContainerDisconnect.verify_undone(world, state).answer == "no"


def test_a_disconnect_without_effect_is_not_verified(world: FakeWorld) -> None:
    world.containers.immortal = True
    fault, state = injected(world)
    assert fault.verify(world, state).why == "shop-server-1 is still on shop_back, shop_default"


def test_manual_names_aliases_and_address(world: FakeWorld) -> None:
    lines = ContainerDisconnect.manual(injected(world)[1])
    assert lines == [
        "docker network connect --alias server --alias shop-server-1 shop_default shop-server-1",
        "docker network connect --alias cache --ip 10.1.2.3 shop_back shop-server-1",
    ]
