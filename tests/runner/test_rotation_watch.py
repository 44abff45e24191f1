"""How long the recovery phase goes on for a check that waits for the router."""

from __future__ import annotations

from typing import Any

from tests.histories import experiment
from vqchaos.history.events import RouterReplica
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
    found.add(says("server-1", False))
    found.add(says("server-1", None))
    assert found.whole()


def test_nobody_waits_without_a_check_that_asks() -> None:
    for checks in ([], [{"type": "rotation", "out": "10s"}]):
        found = watch(*checks)
        found.add(says("server-1", False))
        assert found.whole()
