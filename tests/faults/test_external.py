from __future__ import annotations

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.faults.external import External

FAULT = External(type="external")


def test_it_never_touches_the_world(world: FakeWorld) -> None:
    state = FAULT.capture(world, ticket())
    FAULT.plan(world)
    FAULT.inject(world, state, lambda: None)
    assert FAULT.verify(world, state).answer == "none"
    External.revert(world, state)
    assert External.verify_undone(world, state).answer == "none"
    assert world.calls == []


def test_the_plan_tells_the_user_to_do_it(world: FakeWorld) -> None:
    assert "break the stack yourself" in FAULT.plan(world)[0]


def test_it_needs_nothing_of_a_stack() -> None:
    assert External.needs == frozenset()
    assert not FAULT.is_held
