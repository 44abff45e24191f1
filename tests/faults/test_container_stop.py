from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.faults.container_stop import ContainerStop
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import undo


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


def under_way(world: FakeWorld, grace: float, ends_in: float | None) -> dict[str, Any]:
    """The runner died while Docker waited for the container, which ends later or never."""
    fault = ContainerStop.model_validate({"type": "container_stop", "target": {"replica": 1}})
    state = fault.model_copy(update={"grace": grace}).capture(world, ticket())
    container, now = world.containers.one(), world.clock.now()
    container.signals.append(now)
    container.ends_at = None if ends_in is None else now + ends_in
    return state


@pytest.mark.parametrize("ends_in", [0.0, 1.5, 10.0, 39.0])
def test_a_stop_under_way_is_waited_for_and_then_undone(world: FakeWorld, ends_in: float) -> None:
    state = under_way(world, 30.0, ends_in)
    container, began, clock = world.containers.one(), world.containers.one().started, world.clock
    before = clock.now()
    ContainerStop.revert(world, state)
    assert container.status == "running"
    assert container.started != began, "it ended, and was started"
    assert clock.now() - before < ends_in + 0.2
    clock.advance(60.0)
    assert ContainerStop.verify_undone(world, state).answer == "yes"
    assert container.exit_code is None


def test_one_that_a_signal_does_not_end_is_fine(world: FakeWorld) -> None:
    state = under_way(world, 2.0, None)
    before = world.clock.now()
    ContainerStop.revert(world, state)
    assert world.clock.now() - before == pytest.approx(12.0)
    assert ContainerStop.verify_undone(world, state).answer == "yes"


def test_where_no_stop_was_sent_nobody_waits_for_its_grace(world: FakeWorld) -> None:
    fault = ContainerStop.model_validate({"type": "container_stop", "target": "server"})
    state = fault.capture(world, ticket())
    before = world.clock.now()
    ContainerStop.revert(world, state)
    assert world.clock.now() - before == pytest.approx(2.0), "1 s each, for one on its way"
    assert fault.verify_undone(world, state).answer == "yes"


def test_an_ordinary_undo_waits_for_nothing(world: FakeWorld) -> None:
    _, state = injected(world)
    before = world.clock.now()
    ContainerStop.revert(world, state)
    assert world.clock.now() == before


def test_an_entry_without_a_grace_has_the_usual_one(world: FakeWorld) -> None:
    state = under_way(world, 10.0, 9.0)
    del state["containers"][0]["grace"]
    ContainerStop.revert(world, state)
    assert world.containers.one().started > 1.0


def test_the_undo_has_time_for_a_long_grace(world: FakeWorld, tmp_path: Path) -> None:
    state = under_way(world, 300.0, 290.0)
    assert ContainerStop.undo_limit(state) > 310
    fault = ContainerStop.model_validate({"type": "container_stop", "grace": "300s"})
    assert fault.longest() > 600
    entry = Entry("r.0", "r", 0, "s", "container_stop", None, held=True, state=state)
    ledger = Ledger(tmp_path)
    ledger.record(entry)
    assert undo(entry, world, ledger).done
    assert ledger.in_force() == []
