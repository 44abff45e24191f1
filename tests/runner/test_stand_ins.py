"""Containers that stand in for a server's own, as marks: what is done where the ledger is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from tests.runner.fake_stack import FakeStack, Lab
from tests.scripted_server import ScriptedServer
from vqchaos.errors import StackError
from vqchaos.faults import REGISTRY
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner import marks
from vqchaos.runner.aftermath import revert_all
from vqchaos.runner.heal import heal
from vqchaos.runner.leftovers import leftovers
from vqchaos.stack.marked import StandIn
from vqchaos.stack.protocols import Capability

LEASE = 600.0
FAULTS: dict[str, dict[str, Any]] = {
    "port_conflict": {},
    "oversized_model": {},
    "model_corruption": {"mode": "truncate"},
}
each_fault = pytest.mark.parametrize("kind", sorted(FAULTS))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ScriptedServer() as http:
        world = FakeWorld(tmp_path / "world")
        world.server.contained = world.server.refuses = True
        stack = FakeStack(tmp_path, http, world)
        stack.state_dir.mkdir()
        yield Lab(stack, tmp_path / "runs")


def injected(lab: Lab, kind: str) -> dict[str, Any]:
    """By a runner of which no ledger is left."""
    world = lab.stack.world
    made = REGISTRY[kind].model_validate({"type": kind, **FAULTS[kind]})
    state = made.capture(world, ticket())
    made.inject(world, state, lambda: None)
    return state


@each_fault
def test_a_lost_ledger_costs_nothing_once_the_mark_has_expired(lab: Lab, kind: str) -> None:
    world, ledger = lab.stack.world, Ledger(lab.stack.state_dir)
    before = world.snapshot()
    injected(lab, kind)
    [left] = [i for i in leftovers(lab.stack, ledger, set()) if i.kind == "container"]
    assert (left.name, left.detail) == ("server-x", "stands in for server 1")
    [mark] = marks.find(lab.stack, ledger, world.clock).live
    assert (mark.run, mark.number, mark.deadline) == ("a1b2c3d4", 1, 1_800_000_600.0)
    healed = heal(lab.stack, world.clock)
    assert not healed.clean, "it may be another machine's run"
    assert (healed.undone, healed.left) == ([], [])
    world.clock.advance(LEASE + 1)
    healed = heal(lab.stack, world.clock)
    assert healed.clean
    [undone] = healed.undone
    assert (undone.entry.type, undone.proof.answer) == (kind, "yes")
    after = world.snapshot()
    after["files"].pop("scratch", None)  # the empty folder above the fault's own
    assert after == before
    assert heal(lab.stack, world.clock).found == []


@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer lost"])
@each_fault
def test_a_runner_that_died_at_any_call_and_lost_its_ledger(
    tmp_path: Path, kind: str, after: bool
) -> None:
    """From its making on the container says whose it is. Before that there is none, and what is
    left is a server that somebody has stopped."""
    ends = Counter[str]()
    for nth in range(1, 50):
        world = FakeWorld(tmp_path / str(nth))
        world.server.contained = world.server.refuses = True
        stack = FakeStack(tmp_path / f"stack{nth}", cast("Any", None), world)
        stack.state_dir.mkdir(parents=True)
        before = world.snapshot()
        made = REGISTRY[kind].model_validate({"type": kind, **FAULTS[kind]})
        state = made.capture(world, ticket())
        world.fail_at(nth, after=after)
        try:
            made.inject(world, state, lambda: None)
            whole = True
        except StackError:
            whole = False
        world.fail_at(0)
        if whole:
            REGISTRY[kind].revert(world, state)
            break
        marked = bool(world.server.standing_in)
        world.clock.advance(LEASE + 1)
        healed = heal(stack, world.clock)
        assert healed.clean
        assert len(healed.found) == marked
        assert world.server.standing_in == []
        now = world.snapshot()
        now["files"].pop("scratch", None)
        ends["undone" if marked else "not begun" if now == before else "stopped"] += 1
        if marked:
            assert now == before
        else:  # by hand, as safety.md says
            REGISTRY[kind].revert(world, state)
    assert (ends["undone"] > 0) is after, "a start whose answer was lost has made one"


def test_what_a_ledger_knows_is_no_mark(lab: Lab) -> None:
    world, ledger = lab.stack.world, Ledger(lab.stack.state_dir)
    state = injected(lab, "oversized_model")
    ledger.record(Entry("a1b2c3d4.1", "a1b2c3d4", 1, "it", "oversized_model", None, True, state))
    found = marks.find(lab.stack, ledger, world.clock)
    assert (found.live, found.expired) == ([], [])
    assert revert_all(lab.stack, world.clock, by="heal", why="it died").clean
    assert world.server.standing_in == []


def test_the_next_run_refuses_a_live_one_and_sweeps_an_expired_one(lab: Lab) -> None:
    world = lab.stack.world
    injected(lab, "oversized_model")
    refused = lab.run(lab.experiment({"type": "process_kill", "target": "engine"}))
    assert refused.exit_code == 4
    assert "oversized_model on server 1 (server-x) in force for another" in str(refused.error)
    assert refused.error is not None
    assert "`docker rm -f server-x`" in str(refused.error.hint)
    assert len(world.server.standing_in) == 1
    [live] = world.server.standing_in
    world.server.standing_in = [replace(live, mark="vqchaos.a1b2c3d4.1.5")]
    assert lab.run(lab.experiment({"type": "latency", "latency": "50ms"})).runs[0].verdict["valid"]
    assert world.server.standing_in == []
    assert any("expired mark of run a1b2c3d4" in line for line in lab.talk.lines)


def test_one_of_a_version_that_knows_more_faults_is_undone_all_the_same(lab: Lab) -> None:
    world = lab.stack.world
    world.server.standing_in.append(
        StandIn("server-x", "vqchaos.far.1.5", "t0k3n000", "no_such_fault", 1, "/nowhere/t0k3n000")
    )
    assert heal(lab.stack, world.clock).clean


def test_a_strangers_name_is_no_mark_of_ours(lab: Lab) -> None:
    world = lab.stack.world
    for name in ("", "vqchaos", "vqchaos.x.y.z"):
        world.server.standing_in.append(StandIn("other", name, "t0k3n000", "x", 1, "/nowhere"))
    found = marks.find(lab.stack, Ledger(lab.stack.state_dir), world.clock)
    assert (found.live, found.expired) == ([], [])


def test_a_stack_whose_starts_cannot_be_changed_is_not_asked(lab: Lab) -> None:
    lab.stack.lacks = {Capability.STARTUP: "no"}
    injected(lab, "oversized_model")
    before = len(lab.stack.world.calls)
    found = marks.find(lab.stack, Ledger(lab.stack.state_dir), lab.stack.world.clock)
    assert found.live == []
    assert "server.stand_ins" not in lab.stack.world.calls[before:]


def test_a_toxiproxy_that_is_silent_hides_no_stand_in(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> list[marks.Mark]:
        raise StackError("Toxiproxy does not answer")

    injected(lab, "port_conflict")
    monkeypatch.setattr(marks, "PLACES", (silent, marks.on_containers))
    found = marks.find(lab.stack, Ledger(lab.stack.state_dir), lab.stack.world.clock)
    assert len(found.live) == 1
    assert "does not answer" in str(found.blind)
