from __future__ import annotations

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.proxy_down import ProxyDown

FAULT = ProxyDown(type="proxy_down")


def test_a_request_that_still_goes_through_is_not_verified(world: FakeWorld) -> None:
    state = FAULT.capture(world, ticket())
    FAULT.inject(world, state, lambda: None)
    assert "refused" in FAULT.verify(world, state).why
    world.proxy.timed_connect = lambda timeout: 0.002  # type: ignore[method-assign]
    assert FAULT.verify(world, state).answer == "no"


def test_a_proxy_that_was_off_is_refused_and_stays_off(world: FakeWorld) -> None:
    world.proxy.is_enabled = False
    for step in (lambda: FAULT.plan(world), lambda: FAULT.capture(world, ticket())):
        with pytest.raises(FaultError, match="off already"):
            step()
    assert world.mutations == []
    state = {"enabled": False, "mark": ticket().mark, "token": "t"}  # as 0.1 wrote it
    assert "stays off" in ProxyDown.revert(world, state)
    assert not world.proxy.is_enabled
    assert ProxyDown.verify_undone(world, state).answer == "yes"
    assert ProxyDown.manual(state) == []


def test_a_proxy_that_stays_off_after_the_revert_is_not_undone(world: FakeWorld) -> None:
    state = FAULT.capture(world, ticket())
    FAULT.inject(world, state, lambda: None)
    assert ProxyDown.verify_undone(world, state).answer == "no"
    assert ProxyDown.manual(state)


def test_without_the_proxy(world: FakeWorld) -> None:
    world.proxy.die()
    for step in (lambda: FAULT.plan(world), lambda: FAULT.capture(world, ticket())):
        with pytest.raises(FaultError, match="the proxy is not there"):
            step()
