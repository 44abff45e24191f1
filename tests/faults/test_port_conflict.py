from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import FaultError
from vqchaos.faults import port_conflict
from vqchaos.faults.port_conflict import PortConflict, holders

FAULT = PortConflict(type="port_conflict")
HOLDER = Path(port_conflict.__file__).with_name("_port_holder.py")


@pytest.fixture
def state(world: FakeWorld) -> Iterator[dict[str, Any]]:
    state = FAULT.capture(world, ticket(token=f"p{os.getpid():07d}"[:8]))
    yield state
    PortConflict.unapply(world, state)
    assert holders(state["token"]) == []


def hold(port: int, seconds: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-I", str(HOLDER), "127.0.0.1", str(port), str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def read_one(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        return client.recv(1)


def test_the_plan_names_the_port(world: FakeWorld) -> None:
    assert f"take 127.0.0.1:{world.server.port}" in FAULT.plan(world)[1]


def test_the_port_is_really_taken_and_free_again(world: FakeWorld, state: dict[str, Any]) -> None:
    FAULT.inject(world, state, lambda: None)
    assert len(holders(state["token"])) == 1
    address = ("127.0.0.1", world.server.port)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            server.bind(address)
    assert world.server.latest.state == "exited", "the start found its port taken"
    PortConflict.revert(world, state)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
    assert (world.server.latest.state, world.server.latest.clean) == ("running", True)


def test_whoever_connects_is_reset_and_the_port_stays_taken(
    world: FakeWorld, state: dict[str, Any]
) -> None:
    FAULT.apply(world, state)
    for _ in range(3):
        with pytest.raises(ConnectionResetError):  # now and then already while connecting
            read_one(world.server.port)
    assert FAULT.applied(world, state).answer == "yes"


def test_a_port_that_somebody_else_has_is_an_error(world: FakeWorld, state: dict[str, Any]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", world.server.port))
        other.listen()
        with pytest.raises(FaultError, match="could not be taken: Address already in use"):
            FAULT.apply(world, state)
        assert holders(state["token"]) == []
        answer = FAULT.applied(world, state)
    assert answer.answer == "no"
    assert "not there" in answer.why


def test_a_holder_that_died_is_not_verified(world: FakeWorld, state: dict[str, Any]) -> None:
    FAULT.inject(world, state, lambda: None)
    holders(state["token"])[0].kill()
    assert wait_until(lambda: not holders(state["token"]), 5.0, RealClock(), every=0.01)
    assert FAULT.verify(world, state).answer == "no"
    assert PortConflict.unapply(world, state) == "nothing held the port"


def test_only_the_holder_with_our_token_is_ended(world: FakeWorld, state: dict[str, Any]) -> None:
    FAULT.apply(world, state)
    PortConflict.unapply(world, state | {"token": "somebody"})
    assert len(holders(state["token"])) == 1


def test_the_holder_ends_by_itself(world: FakeWorld) -> None:
    with hold(world.server.port, 0.1) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert holder.wait(timeout=10) == 0


def test_the_holder_says_why_it_cannot(world: FakeWorld) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", world.server.port))
        other.listen()
        with hold(world.server.port, 30) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "Address already in use\n"
            assert holder.wait(timeout=10) == 1


def test_the_holders_time_is_the_runs_but_a_minute_at_least(world: FakeWorld) -> None:
    assert FAULT.capture(world, ticket())["ttl"] == 600.0
    world.clock.advance(10_000)
    assert FAULT.capture(world, ticket())["ttl"] == 60.0


def test_manual_names_the_port(state: dict[str, Any]) -> None:
    assert str(state["port"]) in PortConflict.manual(state)[0]
