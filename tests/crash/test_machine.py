"""A Hypothesis state machine over a simulated world: orders of crashes, reverts, restarts and lost
files that nobody thought of. Ledger, undo, marks and aftermath are the real ones."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fakes import FakeWorld
from tests.runner.fake_stack import FakeStack
from vqchaos.errors import VqchaosError
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import Fault, Ticket
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner import marks
from vqchaos.runner.aftermath import revert_all
from vqchaos.runner.undo import undo
from vqchaos.stack.protocols import Toxic

LEASE = 300.0  # seconds
_REPLICAS = {"link": "router-replica", "replica": "all"}
SAMPLES: dict[str, dict[str, Any]] = {
    "latency": {"type": "latency", "latency": "50ms"},
    "latency to replicas": {"type": "latency", "latency": "50ms", **_REPLICAS},
    "proxy_down": {"type": "proxy_down"},
    "proxy_down to replicas": {"type": "proxy_down", **_REPLICAS},
    "process_pause": {"type": "process_pause", "target": "engine"},
    "oversized_model": {"type": "oversized_model"},
}
MARKED = {"latency", "proxy_down"}  # types
POINTS = ("not at all", "before the record", "after the record", "in the inject", "after it")
seen: set[tuple[Any, ...]] = set()
steps = 0


def fault_of(kind: str) -> Fault:
    return REGISTRY[SAMPLES[kind]["type"]].model_validate(SAMPLES[kind])


class Crashes(RuleBasedStateMachine):
    """One stack, at most one runner at a time."""

    @initialize(contained=st.booleans())
    def begin(self, contained: bool) -> None:
        """``contained``: a start with a fault is another container, which has a mark."""
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.world = FakeWorld(self.folder / "world")
        self.world.server.refuses = True
        self.world.server.contained = contained
        self.stack = FakeStack(self.folder, cast("Any", None), self.world)
        self.stack.state_dir.mkdir()
        self.clean = self.effects()
        self.strangers = set(self.world.proxy.listed)
        self.runner: list[Entry] | None = None  # what a live runner has in its memory
        self.lost: set[str] = set()  # kinds whose record was lost while they were in force
        self.number = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------ what is there

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.stack.state_dir)

    def effects(self) -> dict[str, Any]:
        """What a fault may have changed and must put back."""
        world = self.world.snapshot()
        attempt = self.world.server.latest
        proxies = [(world["toxics"], world["enabled"]), *world["to replicas"].values()]
        names = [name for toxics, _ in proxies for name in toxics]
        return {
            "toxics": [name for name in names if name.startswith("vqchaos.run.")],
            "off": world["toxiproxy"] and not all(enabled for _, enabled in proxies),
            "stopped": [r for r, state in world["processes"].items() if state == "stopped"],
            "unclean": not attempt.clean or attempt.state == "stopped",
            "scratch": sorted(f for f in world["files"] if f.startswith("scratch/")),
            "standing in": len(self.world.server.standing_in),
        }

    # ------------------------------------------------------------ a runner's life

    @precondition(lambda self: self.runner is None)
    @rule()
    def a_run_starts(self) -> None:
        if self.ledger.in_force():
            return  # refused: exit 4
        found = marks.find(self.stack, self.ledger, self.world.clock)
        for mark in found.expired:
            assert marks.revert(mark, self.stack, self.ledger).done
        if not found.live:
            self.runner = []

    @precondition(lambda self: len(self.runner or []) < 4)
    @rule(
        kind=st.sampled_from(sorted(SAMPLES)), crash=st.sampled_from(POINTS), nth=st.integers(1, 8)
    )
    def it_injects(self, kind: str, crash: str, nth: int) -> None:
        if self.runner is None:
            self.a_run_starts()
        if self.runner is None:
            return
        self.number += 1
        fault, wall = fault_of(kind), self.world.clock.wall()
        ticket = Ticket("run", self.number, f"t{self.number:07d}", wall + LEASE, seed=1)
        try:
            state = fault.capture(self.world, ticket)
        except VqchaosError:
            return
        entry = Entry(
            id=f"run.{self.number}",
            run="run",
            number=self.number,
            fault=kind,
            type=fault.type,
            target=None,
            held=True,
            state=state,
            recorded_wall=wall,
            deadline_wall=wall + LEASE,
        )
        if crash != "before the record":
            self.ledger.record(entry)
            self.runner.append(entry)
        if crash in ("in the inject", "after it", "not at all"):
            self.world.fail_at(nth if crash == "in the inject" else 0, after=bool(nth % 2))
            try:
                fault.inject(self.world, state, lambda: None)
            except VqchaosError:
                pass
            finally:
                self.world.fail_at(0)
        if crash != "not at all":
            self.runner = None

    @precondition(lambda self: self.runner)
    @rule(fails=st.integers(0, 4))
    def it_reverts_the_latest(self, fails: int) -> None:
        assert self.runner
        self.world.fail_at(fails)
        outcome = undo(self.runner[-1], self.stack, self.ledger)
        self.world.fail_at(0)
        if outcome.done:
            self.runner.pop()

    @precondition(lambda self: self.runner is not None)
    @rule()
    def it_is_killed(self) -> None:
        self.runner = None

    @precondition(lambda self: self.runner is not None)
    @rule()
    def it_ends_in_good_order(self) -> None:
        assert self.runner is not None
        for entry in reversed(self.runner):
            undo(entry, self.stack, self.ledger)
        self.runner = None
        self.is_clean()

    # ------------------------------------------------------------ who comes after

    @precondition(lambda self: self.runner is None)
    @rule(who=st.sampled_from(["watchdog", "heal", "abort"]), fails=st.integers(0, 12))
    def somebody_reverts(self, who: str, fails: int) -> None:
        self.world.fail_at(fails)
        healed = revert_all(self.stack, self.world.clock, by=who, why="it died")
        failed = not healed.clean
        self.world.fail_at(0)
        assert failed or not self.ledger.in_force()
        if not fails:
            self.is_clean()
            again = revert_all(self.stack, self.world.clock, by="heal", why="it died")
            assert again.found == [], "nothing is undone twice"

    def is_clean(self) -> None:
        """All that a ledger or an expired mark knew of is undone."""
        assert self.ledger.in_force() == []
        found = marks.find(self.stack, self.ledger, self.world.clock)
        assert found.expired == []
        now = self.effects()
        if not self.lost and not found.live:
            assert now == self.clean

    # ------------------------------------------------------------ the world moves

    @rule()
    def toxiproxy_restarts(self) -> None:
        self.world.proxy.restart()
        self.strangers = set()
        self.lost -= MARKED

    @rule(name=st.sampled_from(["theirs", "vqchaos", "vqchaos.", "vqchaos.x.y.z"]))
    def a_stranger_adds_a_toxic(self, name: str) -> None:
        if name not in self.world.proxy.listed:
            toxic = Toxic(name, "latency", "upstream", 1.0, {"latency": 1, "jitter": 0})
            self.world.proxy.listed[name] = toxic
            self.strangers.add(name)

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule()
    def the_wall_clock_is_set_back(self) -> None:
        self.world.clock._wall_offset -= 3600

    @rule()
    def the_engine_is_replaced(self) -> None:
        """By the supervisor: a hang ends with its process."""
        attempt = self.world.server.latest
        if attempt.clean and attempt.state == "running":
            self.world.processes.spawn_server()
            self.lost.discard("process_pause")

    @precondition(lambda self: self.runner is None)
    @rule()
    def the_ledger_is_lost(self) -> None:
        marked = {(s.mark, s.fault) for s in self.world.server.standing_in}
        for entry in self.ledger.in_force():
            if (entry.state.get("mark"), entry.type) not in marked:
                self.lost.add(entry.type)
        self.ledger.path.unlink(missing_ok=True)

    @rule(cut=st.integers(1, 20))
    def a_record_is_torn(self, cut: int) -> None:
        if self.ledger.path.exists():
            with self.ledger.path.open("ab") as file:
                file.write(b'{"schema":1,"record":"undone"'[:cut])

    # ------------------------------------------------------------ what always holds

    @invariant()
    def strangers_stay(self) -> None:
        if hasattr(self, "world"):
            assert self.strangers <= set(self.world.proxy.listed)

    @invariant()
    def what_is_in_force_is_on_record_or_marked(self) -> None:
        if not hasattr(self, "world"):
            return
        marked = {found.fault for found in self.world.server.standing_in}
        known = {entry.type for entry in self.ledger.in_force()} | self.lost | marked
        now = self.effects()
        if now["stopped"]:
            assert "process_pause" in known
        if now["unclean"] or now["scratch"]:
            assert "oversized_model" in known
        if now["off"]:
            assert "proxy_down" in known

    @invariant()
    def count(self) -> None:
        global steps
        if not hasattr(self, "world"):
            return
        steps += 1
        now = self.effects()
        seen.add(
            (
                self.runner is None,
                tuple(sorted(entry.type for entry in self.ledger.in_force())),
                tuple(sorted(self.lost)),
                len(now["toxics"]),
                now["off"],
                tuple(now["stopped"]),
                now["unclean"],
                bool(now["scratch"]),
                len(self.strangers),
            )
        )


@pytest.fixture
def counted() -> Iterator[None]:
    yield
    sys.stderr.write(f"{steps} transitions, {len(seen)} different states\n")


@pytest.mark.usefixtures("counted")
def test_no_order_of_crashes_leaves_a_fault_behind() -> None:
    run_state_machine_as_test(
        Crashes,
        settings=settings(
            max_examples=200,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
