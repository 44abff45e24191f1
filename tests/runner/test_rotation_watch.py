"""How long the recovery phase goes on for a check that waits for the router."""

from __future__ import annotations

from typing import Any

from tests.histories import experiment
from vqchaos.history.events import FaultInjected, RouterReplica
from vqchaos.runner.rotation_watch import RotationWatch


def watch(*checks: dict[str, Any]) -> RotationWatch:
    return RotationWatch(experiment(checks=list(checks)))


def says(replica: str, up: bool | None) -> RouterReplica:
    return RouterReplica(t=1.0, replica=replica, up=up)


def test_a_replica_that_is_out_is_waited_for() -> None:
    found = watch({"type": "rotation", "back": "60s"})
    assert found.whole()  # nobody has said that one is out
    found.add(says("server-1", True))
    found.add(says("server-2", True))
    assert found.whole()
    found.add(says("server-1", False))
    assert not found.whole()
    found.add(says("server-2", False))
    found.add(says("server-1", True))
    assert not found.whole()
    found.add(says("server-2", True))
    assert found.whole()


def test_a_router_without_a_word_is_not_waited_for() -> None:
    found = watch({"type": "rotation", "back": "60s"})
    found.add(says("server-1", True))
    found.add(says("server-1", False))
    assert not found.whole()
    found.add(says("server-1", None))
    assert found.whole()
    found.add(says("server-1", False))
    assert not found.whole()


def test_one_that_was_out_before_anything_was_injected_is_not_waited_for() -> None:
    found = watch({"type": "rotation", "back": "60s"})
    found.add(says("never-in", False))
    found.add(says("went-out", True))
    found.add(says("stays-in", True))
    found.add(says("went-out", False))
    found.add(FaultInjected(t=2.0, fault="it"))
    assert found.whole()
    found.add(says("stays-in", False))
    assert not found.whole()
    found.add(FaultInjected(t=3.0, fault="another"))  # what the first one put out is waited for
    assert not found.whole()
    found.add(says("stays-in", True))
    assert found.whole()
    for replica in ("never-in", "went-out"):  # once one is back, its next turn counts
        found.add(says(replica, True))
        found.add(says(replica, False))
        assert not found.whole()
        found.add(says(replica, True))


def test_nobody_waits_without_a_check_that_asks() -> None:
    for checks in ([], [{"type": "rotation", "out": "10s"}]):
        found = watch(*checks)
        found.add(says("server-1", True))
        found.add(says("server-1", False))
        assert found.whole()
