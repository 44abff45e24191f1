"""An undo on another Docker daemon than the fault's: nothing is called undone there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from tests.runner.fake_stack import FakeStack, Lab
from tests.scripted_server import ScriptedServer
from vqchaos.errors import CapabilityMissing, StackError
from vqchaos.faults.container_pause import ContainerPause
from vqchaos.faults.port_conflict import PortConflict
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import Undo, undo
from vqchaos.stack.container_protocols import DaemonRef

HERE = DaemonRef("HERE:ID", "unix:///var/run/docker.sock")
FAR = DaemonRef("FAR:ID", "tcp://far.example:2375")


def paused(world: FakeWorld, daemon: dict[str, str]) -> Entry:
    fault = ContainerPause.model_validate({"type": "container_pause"})
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return Entry("r.0", "r", 0, "p", fault.type, None, held=True, state=state, daemon=daemon)


def undone(world: FakeWorld, entry: Entry, folder: Path) -> Undo:
    ledger = Ledger(folder)
    ledger.record(entry)
    outcome = undo(ledger.in_force()[0], world, ledger)
    assert (ledger.in_force() == []) == outcome.done
    return outcome


def test_on_its_own_daemon_wherever_that_is_reached_by_now(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.docker = DaemonRef(FAR.id, HERE.host)
    assert undone(world, paused(world, asdict(FAR)), tmp_path).done
    assert world.containers.one().status == "running"


@pytest.mark.parametrize("now", [HERE, None])
def test_on_another_one_it_fails_and_says_where_to_go(
    world: FakeWorld, tmp_path: Path, now: DaemonRef | None
) -> None:
    entry = paused(world, asdict(FAR))
    world.docker = now
    world.containers.die()  # none of these containers is there
    outcome = undone(world, entry, tmp_path)
    assert not outcome.done
    assert FAR.host in outcome.proof.why
    assert outcome.manual[0].startswith(f"DOCKER_HOST={FAR.host} vqchaos heal")
    assert outcome.manual[1:] == ContainerPause.manual(entry.state)


def test_no_answer_names_the_daemon_too(world: FakeWorld, tmp_path: Path) -> None:
    world.docker = FAR
    entry = paused(world, asdict(FAR))
    world.fail_at(1)
    outcome = undone(world, entry, tmp_path)
    assert not outcome.done
    assert FAR.host in outcome.proof.why
    assert "no answer" in outcome.proof.why
    assert FAR.host in outcome.manual[0]


def test_an_older_entry_asks_for_no_daemon(world: FakeWorld, tmp_path: Path) -> None:
    entry = paused(world, {})
    world.docker = HERE
    assert undone(world, entry, tmp_path).done
    assert "daemon" not in world.calls


def test_a_run_writes_the_daemon_of_containers_faults_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[Entry] = []
    record = Ledger.record

    def seen(ledger: Ledger, entry: Entry) -> None:
        entries.append(entry)
        record(ledger, entry)

    monkeypatch.setattr(Ledger, "record", seen)
    with ScriptedServer() as http:
        world = FakeWorld(tmp_path / "world")
        world.docker = HERE
        lab = Lab(FakeStack(tmp_path, http, world), tmp_path / "runs")
        lab.stack.state_dir.mkdir()
        faults = (
            {"type": "container_pause", "target": {"replica": 1}},
            {"type": "latency", "latency": "50ms"},
        )
        [done] = lab.run(lab.experiment(*faults)).runs
    assert done.verdict["leftovers"] == []
    daemons = {entry.type: entry.daemon for entry in entries}
    assert daemons == {"container_pause": asdict(HERE), "latency": {}}


def test_a_server_that_is_out_of_reach_is_not_a_stack_that_is_down(
    world: FakeWorld, tmp_path: Path
) -> None:
    """The older entry of a start-up fault, and a DOCKER_HOST that now names a daemon elsewhere."""

    class Far(FakeWorld):
        @property
        def server(self) -> Any:
            raise CapabilityMissing("the Docker daemon is on another machine")

        @server.setter
        def server(self, server: object) -> None: ...

    fault = PortConflict.model_validate({"type": "port_conflict"})
    state = fault.capture(world, ticket())
    far = Far(tmp_path / "far")
    for step in (PortConflict.revert, PortConflict.verify_undone):
        with pytest.raises(StackError, match="another machine"):
            step(far, state)
