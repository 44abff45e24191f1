from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fake_containers import RESOLV_CONF
from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.dns_failure import DnsFailure


def dns(**settings: Any) -> DnsFailure:
    return DnsFailure.model_validate({"type": "dns_failure", "target": {"replica": 1}, **settings})


def injected(world: FakeWorld, **settings: Any) -> tuple[DnsFailure, dict[str, Any]]:
    fault = dns(**settings)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return fault, state


@pytest.mark.parametrize(("how", "server"), [("refused", "127.0.0.1"), ("silent", "240.0.0.1")])
def test_it_points_at_nothing_and_carries_the_mark(world: FakeWorld, how: str, server: str) -> None:
    fault, state = injected(world, how=how)
    assert world.containers.one().resolv_conf == (
        f"# vqchaos.a1b2c3d4.1.1800000600\nnameserver {server}\n"
    )
    assert server in fault.verify(world, state).why
    DnsFailure.revert(world, state)
    assert world.containers.one().resolv_conf == RESOLV_CONF


def test_a_file_that_is_not_the_faults_is_left_alone(world: FakeWorld) -> None:
    fault, state = injected(world)
    world.containers.one().resolv_conf = "nameserver 10.0.0.1\n"
    assert fault.verify(world, state).answer == "no"
    assert DnsFailure.revert(world, state) == ""
    assert world.containers.one().resolv_conf == "nameserver 10.0.0.1\n"
    assert DnsFailure.verify_undone(world, state).answer == "yes"


def test_a_restart_undoes_it(world: FakeWorld) -> None:
    _, state = injected(world)
    world.containers.restart(world.containers.one().ref, 1.0)
    assert DnsFailure.verify_undone(world, state).answer == "yes"


def test_one_that_was_stopped_meanwhile_has_it_anew_with_its_start(world: FakeWorld) -> None:
    fault, state = injected(world)
    world.containers.stop(world.containers.one().ref, 1.0)
    assert fault.verify(world, state).answer == "no"
    assert "made anew when it starts" in DnsFailure.revert(world, state)
    assert DnsFailure.verify_undone(world, state).answer == "yes"


@pytest.mark.parametrize("text", ["nameserver \ufffd\n", "x" * 9000])
def test_what_could_not_be_put_back_is_not_touched(world: FakeWorld, text: str) -> None:
    world.containers.one().resolv_conf = text
    with pytest.raises(FaultError, match="no text that could be put back"):
        dns().capture(world, ticket())


def test_a_shell_that_fails_is_an_error(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = dns()
    state = fault.capture(world, ticket())
    monkeypatch.setattr(world.containers, "run_inside", lambda *_: (1, "read-only"))
    with pytest.raises(FaultError, match="cannot be written"):
        fault.inject(world, state, lambda: None)
    with pytest.raises(FaultError, match="cannot be read"):
        dns().capture(world, ticket())


def test_manual_and_settings(world: FakeWorld) -> None:
    assert "shop-server-1" in DnsFailure.manual(dns().capture(world, ticket()))[0]
    with pytest.raises(ValidationError, match="'refused' or 'silent'"):
        dns(how="slow")
