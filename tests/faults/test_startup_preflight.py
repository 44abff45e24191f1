"""What a start-up fault of a container asks before anything is injected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.fakes import FakeServer, FakeWorld
from tests.faults.samples import all_samples
from vqchaos.errors import CapabilityMissing, FaultError
from vqchaos.faults.base import StartupFault, require_few

SAMPLES = {name: f for name, f in all_samples().items() if isinstance(f, StartupFault)}
each = pytest.mark.parametrize("name", list(SAMPLES))


def test_all_three_are_here() -> None:
    assert {f.type for f in SAMPLES.values()} == {
        "port_conflict",
        "model_corruption",
        "oversized_model",
    }


@each
def test_a_server_that_runs_by_itself_at_its_own_address_will_do(
    world: FakeWorld, name: str
) -> None:
    require_few(SAMPLES[name], world, 1)
    world.server.own = "http://127.0.0.1:17011"
    require_few(SAMPLES[name], world, 1)
    assert world.mutations == []


@each
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "stopped"}, r"does not run \(stopped\)"),
        ({"state": "exited"}, r"does not run \(exited\)"),
        ({"clean": False}, "another container stands in"),
    ],
)
def test_one_that_does_not_is_told_before_anything_is_touched(
    world: FakeWorld, name: str, change: dict[str, Any], said: str
) -> None:
    world.server.own = "http://127.0.0.1:17011"
    world.server.latest = replace(world.server.latest, **change)
    with pytest.raises(FaultError, match=said) as caught:
        require_few(SAMPLES[name], world, 1)
    assert "docker start" in str(caught.value.hint)
    assert world.mutations == []


@each
def test_a_port_that_is_not_published_is_told(
    world: FakeWorld, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own_url(server: FakeServer) -> str:
        raise CapabilityMissing("shop-server-1 publishes port 8000 at no fixed port")

    monkeypatch.setattr(FakeServer, "own_url", own_url)
    with pytest.raises(CapabilityMissing, match="publishes port 8000 at no fixed port"):
        require_few(SAMPLES[name], world, 1)
