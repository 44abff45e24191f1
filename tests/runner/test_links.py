"""Faults of a link to a replica in whole runs, and their marks when the ledger is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import STRANGERS_TOXIC, FakeWorld
from tests.faults.samples import ticket
from tests.runner.fake_stack import FakeStack, Lab
from tests.scripted_server import ScriptedServer
from vqchaos.errors import CapabilityMissing
from vqchaos.faults import REGISTRY
from vqchaos.history.events import FaultRecorded, FaultVerified
from vqchaos.history.store import read
from vqchaos.ledger import Ledger
from vqchaos.runner import marks
from vqchaos.runner.heal import heal
from vqchaos.runner.leftovers import leftovers
from vqchaos.stack.protocols import Capability, Toxic

LATENCY = {"type": "latency", "latency": "50ms", "link": "router-replica", "replica": 2}
DOWN = {"type": "proxy_down", "link": "router-replica", "replica": "all"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ScriptedServer() as http:
        stack = FakeStack(tmp_path, http, FakeWorld(tmp_path / "world"))
        stack.state_dir.mkdir()
        yield Lab(stack, tmp_path / "runs")


def injected(lab: Lab, fault: dict[str, Any]) -> None:
    """By a run of elsewhere: nothing is in this ledger."""
    made = REGISTRY[fault["type"]].model_validate(fault)
    made.inject(lab.stack.world, made.capture(lab.stack.world, ticket()), lambda: None)


def test_a_run_with_a_fault_of_one_replicas_link(lab: Lab) -> None:
    before = lab.stack.world.snapshot()
    [done] = lab.run(lab.experiment(LATENCY)).runs
    events = read(done.folder / "history.jsonl")
    [recorded] = [e for e in events if isinstance(e, FaultRecorded)]
    assert recorded.target == "router → replica 2, downstream"
    [verified] = [e for e in events if isinstance(e, FaultVerified)]
    assert verified.answer == "yes"
    assert "inside the network" in verified.why
    assert done.verdict["leftovers"] == []
    assert done.verdict["valid"], done.verdict["void_reasons"]
    assert lab.stack.world.snapshot() == before


def test_all_replicas_need_max_targets(lab: Lab) -> None:
    [done] = lab.run(lab.experiment(DOWN)).runs
    assert "2 targets match and max_targets is 1" in done.verdict["void_reasons"][0]
    [done] = lab.run(lab.experiment(DOWN, max_targets=2)).runs
    assert done.verdict["valid"], done.verdict["void_reasons"]


def test_a_stack_without_such_a_link_is_out_of_reach(lab: Lab) -> None:
    lab.stack.lacks = {Capability.REPLICA_LINKS: "no router"}
    with pytest.raises(CapabilityMissing, match="latency needs replica_links: no router"):
        lab.run(lab.experiment(LATENCY))
    clients = {"type": "latency", "latency": "50ms"}
    assert lab.run(lab.experiment(clients)).runs[0].verdict["valid"]


@pytest.mark.parametrize("fault", [LATENCY, DOWN], ids=["latency", "proxy_down"])
def test_marks_on_any_proxy_are_found_and_undone_without_a_ledger(
    lab: Lab, fault: dict[str, Any]
) -> None:
    world, ledger = lab.stack.world, Ledger(lab.stack.state_dir)
    before = world.snapshot()
    injected(lab, fault)
    named = [item.name for item in leftovers(lab.stack, ledger, set())]
    expected = ["replica-2"] if fault is LATENCY else ["replica-1", "replica-2"]
    assert named == [f"{ticket().mark} on {name}" for name in expected]
    found = marks.find(lab.stack, ledger, world.clock)
    assert [mark.thing.name for mark in found.live] == named
    assert found.expired == []
    world.clock.advance(601.0)
    healed = heal(lab.stack, world.clock)
    assert healed.clean
    assert world.snapshot() == before


def test_the_next_run_refuses_a_live_mark_and_sweeps_an_expired_one(lab: Lab) -> None:
    listed = lab.stack.world.replica_proxies["replica-2"].listed
    for name in ("vqchaos.far.1.99999999999", "vqchaos.far.1.5"):
        listed[name] = Toxic(name, "latency", "downstream", 1.0, {"latency": 1, "jitter": 0})
    refused = lab.run(lab.experiment(LATENCY))
    assert refused.exit_code == 4
    assert refused.error is not None
    assert "vqchaos.far.1.99999999999" in str(refused.error.hint)
    assert list(listed) == [STRANGERS_TOXIC.name, "vqchaos.far.1.99999999999"]
    del listed["vqchaos.far.1.99999999999"]
    assert lab.run(lab.experiment(LATENCY)).runs[0].verdict["valid"]
    assert list(listed) == [STRANGERS_TOXIC.name]
