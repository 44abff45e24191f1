from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.container_cpu import ContainerCpu
from vqchaos.stack.container_protocols import Limits


def cpu(**settings: Any) -> ContainerCpu:
    data = {"type": "container_cpu", "target": {"replica": 1}, "cpus": 0.5, **settings}
    return ContainerCpu.model_validate(data)


def injected(world: FakeWorld) -> tuple[ContainerCpu, dict[str, Any]]:
    fault = cpu()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return fault, state


@pytest.mark.parametrize("before", [None, 2.0])
def test_lowered_and_as_it_was(world: FakeWorld, before: float | None) -> None:
    world.containers.one().limits = Limits(memory=1 << 30, swap=1 << 30, cpus=before)
    fault, state = injected(world)
    assert world.containers.one().limits == Limits(1 << 30, 1 << 30, 0.5)
    assert fault.verify(world, state).answer == "yes"
    assert ContainerCpu.verify_undone(world, state).answer == "no"
    ContainerCpu.revert(world, state)
    assert world.containers.one().limits == Limits(1 << 30, 1 << 30, before)


def test_another_faults_limit_of_memory_stays(world: FakeWorld) -> None:
    _, state = injected(world)
    world.containers.one().limits = Limits(memory=1 << 30, swap=1 << 30, cpus=0.5)
    ContainerCpu.revert(world, state)
    assert world.containers.one().limits == Limits(1 << 30, 1 << 30, None)


def test_one_that_has_no_more_is_refused(world: FakeWorld) -> None:
    world.containers.one().limits = Limits(cpus=0.5)
    with pytest.raises(FaultError, match=r"has 0.5 CPUs: 0.5 would be no less"):
        cpu().capture(world, ticket())


def test_a_limit_that_was_changed_is_not_verified(world: FakeWorld) -> None:
    fault, state = injected(world)
    world.containers.one().limits = Limits()
    assert fault.verify(world, state).why == "shop-server-1 may use all CPUs"


def test_manual_and_settings(world: FakeWorld) -> None:
    world.containers.one().limits = Limits(cpus=2.0)
    assert ContainerCpu.manual(cpu().capture(world, ticket())) == [
        "docker update --cpus 2.0 shop-server-1"
    ]
    with pytest.raises(ValidationError, match=r"greater than or equal to 0.01"):
        cpu(cpus=0)
