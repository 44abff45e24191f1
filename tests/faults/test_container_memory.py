from __future__ import annotations

import subprocess
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fake_containers import MIB
from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.container_memory import ContainerMemory
from vqchaos.stack.container_protocols import Limits


def memory(**settings: Any) -> ContainerMemory:
    data = {"type": "container_memory", "target": {"replica": 1}, "margin": "64MiB", **settings}
    return ContainerMemory.model_validate(data)


def injected(world: FakeWorld) -> tuple[ContainerMemory, dict[str, Any]]:
    fault = memory()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return fault, state


def test_the_limit_is_its_use_plus_the_margin_memory_and_swap(world: FakeWorld) -> None:
    world.containers.one().usage = 100 * MIB + 1
    fault, state = injected(world)
    assert world.containers.one().limits == Limits(165 * MIB, 165 * MIB)
    assert fault.verify(world, state).answer == "yes"
    ContainerMemory.revert(world, state)
    assert world.containers.one().limits == Limits()


def test_a_limit_is_never_raised(world: FakeWorld) -> None:
    world.containers.one().limits = Limits(120 * MIB, 240 * MIB, 2.0)
    _, state = injected(world)
    assert world.containers.one().limits == Limits(120 * MIB, 120 * MIB, 2.0)
    ContainerMemory.revert(world, state)
    assert world.containers.one().limits == Limits(120 * MIB, 240 * MIB, 2.0)


def test_the_allocator_is_bounded_marked_and_more_than_the_limit(world: FakeWorld) -> None:
    _, state = injected(world)
    [command] = world.containers.commands
    number, size, seconds = map(int, command[4:])
    assert 164 * MIB < number * size < 2 * 164 * MIB
    assert seconds == 600, "the run's deadline"
    assert world.containers.one().inside == [state["token"]]
    world.containers.one().inside.append("somebodys")
    ContainerMemory.revert(world, state)
    assert world.containers.one().inside == ["somebodys"]


def test_the_allocators_words_are_a_shells_and_end(world: FakeWorld) -> None:
    """In this machine's shell: three of a MiB, for no time at all."""
    _, _ = injected(world)
    [command] = world.containers.commands
    done = subprocess.run([*command[:4], "3", str(MIB), "0"], check=False, timeout=20)
    assert done.returncode == 0


def test_without_an_oom_kill_it_is_not_verified(world: FakeWorld) -> None:
    world.containers.immortal = True
    fault, state = injected(world)
    assert fault.verify(world, state).why == "shop-server-1 had no OOM kill"


def test_a_plain_sigkill_is_no_oom_kill(world: FakeWorld) -> None:
    world.containers.immortal = True
    fault, state = injected(world)
    world.containers.end(world.containers.one(), 137, wanted=False)
    assert fault.verify(world, state).answer == "no"


def test_kills_of_before_do_not_count(world: FakeWorld) -> None:
    world.containers.one().oom_kills = 3
    fault = memory()
    state = fault.capture(world, ticket())
    assert fault.verify(world, state).answer == "no"


def test_a_container_that_died_of_it_is_told_by_dockers_event(world: FakeWorld) -> None:
    world.containers.dies_of_oom = True
    fault, state = injected(world)
    assert world.containers.one().oom_kills == 0, "the counter went with the cgroup"
    assert fault.verify(world, state).answer == "yes"
    note = ContainerMemory.revert(world, state)
    assert "restarted meanwhile" in note
    assert world.containers.one().limits == Limits()


def test_an_event_of_before_does_not_count(world: FakeWorld) -> None:
    world.containers.one().oom_moments.append(world.clock.wall() - 1)
    world.containers.immortal = True
    fault, state = injected(world)
    world.containers.one().status = "exited"
    assert fault.verify(world, state).answer == "no"


def test_one_that_died_before_the_allocator_ran(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower = world.containers.set_limits

    def dies(ref: Any, limits: Limits) -> None:
        lower(ref, limits)
        container = world.containers.one()
        container.oom_moments.append(world.clock.wall())
        container.policy = False
        world.containers.end(container, 137, wanted=False)

    monkeypatch.setattr(world.containers, "set_limits", dies)
    fault, state = injected(world)
    assert fault.verify(world, state).answer == "yes"


def test_an_allocator_that_cannot_be_started_is_an_error(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = memory()
    state = fault.capture(world, ticket())
    world.containers.one().status = "exited"
    with pytest.raises(FaultError, match="is exited"):
        fault.inject(world, state, lambda: None)


def test_manual_and_settings(world: FakeWorld) -> None:
    lines = ContainerMemory.manual(memory().capture(world, ticket()))
    assert lines[0].startswith("docker update --memory ")
    assert "within 10m" in lines[1]
    with pytest.raises(ValidationError, match="greater than or equal to"):
        memory(margin="1MiB")
