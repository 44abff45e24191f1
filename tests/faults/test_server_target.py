"""Which of several servers a start-up fault breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.fakes import FakeServer, FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults import REGISTRY
from vqchaos.faults._replica import AnyServer
from vqchaos.faults.base import StartupFault
from vqchaos.stack.config import LocalStackFile
from vqchaos.stack.local.stack import LocalStack

KINDS: dict[str, dict[str, Any]] = {
    "port_conflict": {},
    "oversized_model": {},
    "model_corruption": {"mode": "truncate"},
}
each_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def fault(kind: str, **more: Any) -> StartupFault:
    made = REGISTRY[kind].model_validate({"type": kind, **KINDS[kind], **more})
    assert isinstance(made, StartupFault)
    return made


@pytest.fixture
def two(tmp_path: Path) -> FakeWorld:
    world = FakeWorld(tmp_path / "world")
    world.others[2] = FakeServer(world, world.server.limit, replica=2)
    for server in (world.server, world.others[2]):
        server.contained = server.refuses = True
    return world


def test_every_start_up_fault_is_here() -> None:
    assert {name for name, cls in REGISTRY.items() if cls.startup} == set(KINDS)


@each_kind
def test_the_second_ones_start_is_broken_and_the_first_is_not_touched(
    two: FakeWorld, kind: str
) -> None:
    before = two.snapshot()
    made = fault(kind, target={"role": "server", "replica": 2})
    assert "stop server 2 (SIGTERM" in " ".join(made.plan(two))
    state = made.capture(two, ticket())
    made.inject(two, state, lambda: None)
    assert two.server.started_with == []
    assert (two.server.latest.clean, two.server.latest.state) == (True, "running")
    assert not two.others[2].latest.clean
    assert made.verify(two, state).answer == "yes"
    [found] = two.others[2].stand_ins()
    assert found.replica == 2
    assert type(made).from_mark(found) == {
        "token": state["token"],
        "replica": 2,
        "scratch": found.scratch,
    }
    type(made).revert(two, state)
    assert type(made).verify_undone(two, state).answer == "yes"
    after = two.snapshot()
    after["files"].pop("scratch", None)
    assert after == before


@each_kind
def test_it_is_the_first_one_unless_said_otherwise_and_in_an_older_entry(
    two: FakeWorld, kind: str
) -> None:
    targets: list[Any] = ["server", {"replica": 1}, {}]
    for made in [fault(kind), *(fault(kind, target=target) for target in targets)]:
        assert "stop the server (SIGTERM" in " ".join(made.plan(two))
        assert str(made.target_name()).endswith(("server", "truncate"))
    state = made.capture(two, ticket())
    made.inject(two, state, lambda: None)
    assert two.others[2].started_with == []
    del state["replica"]
    type(made).revert(two, state)
    assert type(made).verify_undone(two, state).answer == "yes"
    assert two.server.latest.clean


@each_kind
def test_the_report_names_the_replica(kind: str) -> None:
    assert str(fault(kind, target={"replica": 3}).target_name()).endswith("server 3")


@each_kind
def test_a_replica_that_is_not_there_is_said_before_anything_is_done(
    two: FakeWorld, kind: str
) -> None:
    made = fault(kind, target={"replica": 3})
    for step in (lambda: made.plan(two), lambda: made.capture(two, ticket())):
        with pytest.raises(FaultError, match="there is no server 3"):
            step()
    assert two.mutations == []


def test_a_local_stack_has_one(tmp_path: Path) -> None:
    file = LocalStackFile.model_validate({"name": "fake", "kind": "local", "model": "./model"})
    stack = LocalStack(file, tmp_path / "fake.yaml")
    with pytest.raises(FaultError, match="no server 2: a local stack has one") as caught:
        fault("port_conflict", target={"replica": 2}).plan(stack)
    assert "`kind: docker`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("router", "target.role"),
        ({"role": "router"}, "target.role"),
        ({"replica": 0}, "target.replica"),
        ({"replica": True}, "target.replica"),
        ({"replica": "any"}, "target.replica"),
        ({"replica": "all"}, "target.replica"),
        ({"count": 1}, "target.count"),
    ],
)
def test_nothing_else_is_a_target(target: Any, where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        fault("port_conflict", target=target)
    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [where]


def test_the_schema_says_the_same() -> None:
    role, whole = TypeAdapter(AnyServer).json_schema()["anyOf"]
    assert role["enum"] == whole["properties"]["role"]["enum"] == ["server"]
    assert whole["properties"]["replica"] == {"type": "integer", "minimum": 1}
    assert whole["additionalProperties"] is False
