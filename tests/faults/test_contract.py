"""One suite that every fault of the registry must pass; its samples are the example experiments.

A new fault is in it as soon as its ``experiments/<type>.yaml`` exists, and ``test_house`` fails
until that does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import all_samples, ticket
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import FaultError, VqchaosError
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import Fault, StartupFault, State
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import undo
from vqchaos.stack.protocols import Capability

SAMPLES = all_samples()
UNPROVABLE = {"external"}  # somebody else injects; nothing can be verified
ROOT = Path(__file__).resolve().parents[2]
TOO_MANY = 40  # calls to the world of one inject; more and the fake's counter is broken

each_fault = pytest.mark.parametrize("name", list(SAMPLES))


@dataclass
class Trial:
    """One fault in one world. ``effects``: the fake's mutations at each call of ``effect``."""

    world: FakeWorld
    fault: Fault
    state: State
    effects: list[list[str]]

    @property
    def proof(self) -> str:
        return "none" if self.fault.type in UNPROVABLE else "yes"

    def inject(self) -> None:
        self.fault.inject(
            self.world, self.state, lambda: self.effects.append(list(self.world.mutations))
        )

    def revert(self) -> str:
        return type(self.fault).revert(self.world, self.state)

    def undone(self) -> str:
        return type(self.fault).verify_undone(self.world, self.state).answer


Make = Callable[..., Trial]


def entry_of(trial: Trial, identifier: str = "a1b2c3d4.1") -> Entry:
    fault = trial.fault
    return Entry(
        id=identifier,
        run="a1b2c3d4",
        number=1,
        fault=fault.name or fault.type,
        type=fault.type,
        target=fault.target_name(),
        held=fault.is_held,
        state=trial.state,
    )


def children() -> set[int]:
    """The PIDs of this process's own children, also of zombies."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Worlds with a fault in each; whatever the test did, no process of ours may stay."""
    before = children()
    made: list[Trial] = []

    def build(name: str, *, refuses: bool = True) -> Trial:
        world = FakeWorld(tmp_path / f"world-{len(made)}")
        world.server.refuses = refuses
        fault = SAMPLES[name]
        state = fault.capture(world, ticket(token=f"t{os.getpid():07d}"[:8]))
        made.append(Trial(world, fault, json.loads(json.dumps(state)), []))
        return made[-1]

    yield build
    for trial in made:
        trial.world.fail_at(0)
        trial.revert()
    assert wait_until(lambda: children() == before, 5.0, RealClock(), every=0.01)


def test_every_type_has_a_sample() -> None:
    assert {fault.type for fault in SAMPLES.values()} == set(REGISTRY)


@each_fault
@pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "serves"])
def test_the_whole_life(make: Make, name: str, refuses: bool) -> None:
    trial = make(name, refuses=refuses)
    before = trial.world.snapshot()
    trial.inject()
    assert trial.fault.verify(trial.world, trial.state).answer == trial.proof
    trial.revert()
    assert trial.undone() == trial.proof
    if trial.fault.held:
        assert {**trial.world.snapshot(), "files": None} == {**before, "files": None}
        left = trial.world.files().keys() - before["files"].keys()
        assert left <= {"scratch"}, "only the folder of all scratch folders may stay"


@each_fault
def test_it_is_not_verified_before_it_is_injected(make: Make, name: str) -> None:
    trial = make(name)
    assert trial.fault.verify(trial.world, trial.state).answer in {"no", "none"}


@each_fault
def test_it_is_not_called_undone_while_it_is_in_force(make: Make, name: str) -> None:
    trial = make(name)
    trial.inject()
    if trial.fault.is_held:
        assert trial.undone() == "no"


@each_fault
def test_effect_is_called_once_and_before_clients_feel_it(make: Make, name: str) -> None:
    trial = make(name)
    trial.inject()
    assert trial.effects == [[]], "exactly one call, before anything in the world was changed"


@each_fault
def test_plan_and_capture_touch_nothing(make: Make, name: str) -> None:
    trial = make(name)  # has captured already
    files = trial.world.files()
    steps = trial.fault.plan(trial.world)
    assert trial.world.mutations == []
    assert trial.world.files() == files
    assert any("undo: " in step for step in steps)


@each_fault
def test_revert_twice(make: Make, name: str) -> None:
    trial = make(name)
    trial.inject()
    trial.revert()
    once = trial.world.snapshot()
    trial.revert()
    assert trial.world.snapshot() == once
    assert trial.undone() == trial.proof


@each_fault
def test_revert_without_inject_changes_nothing(make: Make, name: str) -> None:
    trial = make(name)
    before = trial.world.snapshot()
    trial.revert()
    assert trial.world.snapshot() == before
    assert trial.undone() == trial.proof


@pytest.mark.parametrize("name", [n for n, f in SAMPLES.items() if isinstance(f, StartupFault)])
def test_what_cannot_be_cleaned_up_does_not_keep_the_service_down(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make(name)
    trial.inject()

    def stuck(world: object, state: State) -> str:
        raise FaultError("the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(trial.fault), "unapply", stuck)
        with pytest.raises(VqchaosError, match="the disk does not answer"):
            trial.revert()
    assert trial.world.server.latest.clean
    trial.revert()
    assert trial.undone() == trial.proof


@each_fault
def test_revert_after_the_target_died(make: Make, name: str) -> None:
    trial = make(name)
    trial.inject()
    trial.world.target_died()
    trial.revert()
    assert trial.undone() == trial.proof


@each_fault
def test_revert_after_toxiproxy_restarted(make: Make, name: str) -> None:
    trial = make(name)
    trial.inject()
    trial.world.proxy.restart()
    trial.revert()
    assert trial.undone() == trial.proof


@each_fault
def test_revert_after_the_whole_stack_went_down(make: Make, name: str) -> None:
    """By `down --force` or a reboot: what is left of the fault itself goes all the same."""
    trial = make(name)
    trial.inject()
    trial.world.target_died()
    trial.world.server.up = False
    trial.revert()
    assert trial.undone() == trial.proof
    assert not any(path.startswith("scratch/") for path in trial.world.files())
    assert trial.world.server.latest.state == "exited", "nothing is started on it"


@each_fault
def test_revert_when_the_api_of_our_own_toxiproxy_hangs(make: Make, name: str) -> None:
    trial = make(name)
    trial.inject()
    trial.world.proxy.hung = True
    note = trial.revert()
    trial.world.proxy.hung = False  # where the fault needs no proxy, it still hangs
    assert trial.undone() == trial.proof
    assert ("restarted" in note) == (trial.fault.family == "network")
    assert trial.world.proxy.is_enabled


@each_fault
@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer-lost"])
def test_inject_that_fails_half_way_is_undone(make: Make, name: str, after: bool) -> None:
    for nth in range(1, TOO_MANY):
        trial = make(name)
        before = trial.world.snapshot()
        trial.world.fail_at(nth, after=after)
        try:
            trial.inject()
        except VqchaosError:
            trial.world.fail_at(0)
        else:
            assert len(trial.world.calls) < TOO_MANY
            return
        trial.revert()
        assert trial.undone() == trial.proof, f"failed at call {nth}"
        if trial.fault.held:
            now = trial.world.snapshot()
            assert {**now, "files": 0} == {**before, "files": 0}, f"failed at call {nth}"
    pytest.fail("inject never came to its end")


@each_fault
def test_undo_strikes_the_ledger(make: Make, name: str, tmp_path: Path) -> None:
    trial = make(name)
    ledger, entry = Ledger(tmp_path), entry_of(trial)
    ledger.record(entry)
    trial.inject()
    notes: list[str] = []
    outcome = undo(ledger.in_force()[0], trial.world, ledger, notes.append)
    assert outcome.done
    assert outcome.proof.answer == trial.proof
    assert notes == [outcome.note]
    assert ledger.in_force() == []
    assert not ledger.path.exists()


@each_fault
def test_an_undo_that_fails_stays_in_the_ledger(make: Make, name: str, tmp_path: Path) -> None:
    trial = make(name)
    ledger, entry = Ledger(tmp_path), entry_of(trial)
    ledger.record(entry)
    trial.inject()
    before = len(trial.world.calls)
    trial.revert()
    if len(trial.world.calls) == before:
        return  # its revert asks nothing of the world
    trial.world.fail_at(1)
    outcome = undo(entry, trial.world, ledger)
    assert not outcome.done
    assert "no answer" in outcome.proof.why
    assert outcome.manual == type(trial.fault).manual(entry.state)
    assert ledger.in_force() == [entry]


@each_fault
def test_an_undo_with_a_broken_ledger_is_done_and_says_so(
    make: Make, name: str, tmp_path: Path
) -> None:
    trial = make(name)
    ledger, entry = Ledger(tmp_path), entry_of(trial)
    ledger.record(entry)
    trial.inject()
    ledger.path.write_text("not a record\n" + ledger.path.read_text())
    outcome = undo(entry, trial.world, ledger)
    assert outcome.done
    assert "the ledger cannot be written" in outcome.note


HEAL = """
import json, sys
from pathlib import Path
from tests.fakes import FakeWorld
from vqchaos.ledger import Ledger
from vqchaos.runner.undo import undo

answers = {}
for folder in map(Path, sys.argv[1:]):
    ledger = Ledger(folder)
    (entry,) = ledger.in_force()
    answers[entry.fault] = undo(entry, FakeWorld(folder), ledger).proof.answer
print(json.dumps(answers))
"""


def test_a_fresh_process_reverts_from_the_ledger_alone(make: Make) -> None:
    """As `heal` after a crash; for all faults whose world outlives this process."""
    in_memory = {Capability.PROXY, Capability.PROCESSES, Capability.CONTAINERS}
    trials = {n: make(n) for n, fault in SAMPLES.items() if not fault.needs & in_memory}
    assert {"port_conflict", "oversized_model", "command"} <= trials.keys()
    for number, (name, trial) in enumerate(trials.items()):
        # A holder is known by its token, and here several are in force at once.
        fault = trial.fault
        state = fault.capture(trial.world, ticket(token=f"fresh{number:03d}"))
        trial.state = state
        entry = entry_of(trial)
        entry = Entry(**{**{f: getattr(entry, f) for f in entry.__slots__}, "fault": name})
        Ledger(trial.world.folder).record(entry)
        trial.inject()
    done = subprocess.run(
        [sys.executable, "-c", HEAL, *(str(t.world.folder) for t in trials.values())],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: trial.proof for name, trial in trials.items()}
    for name, trial in trials.items():
        there = FakeWorld(trial.world.folder)
        assert type(trial.fault).verify_undone(there, trial.state).answer == trial.proof, name
        assert there.server.latest.clean, name
        assert Ledger(trial.world.folder).in_force() == []
