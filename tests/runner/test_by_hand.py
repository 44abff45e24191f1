from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import FakeWorld
from tests.runner.fake_stack import FakeStack
from tests.scripted_server import ScriptedServer
from vqchaos.errors import (
    CapabilityMissing,
    FaultError,
    Interrupted,
    StackLocked,
    UncleanError,
    UsageError,
)
from vqchaos.experiment.files import load_experiment
from vqchaos.faults.base import Fault, Verification
from vqchaos.faults.latency import Latency
from vqchaos.faults.proxy_down import ProxyDown
from vqchaos.history.events import FaultReverted, FaultVerified, RunEnded
from vqchaos.history.store import read
from vqchaos.ledger import Ledger
from vqchaos.runner.by_hand import FaultHolder
from vqchaos.runner.watchdog import NoGuard
from vqchaos.stack.protocols import Capability, Toxic
from vqchaos.strategies import faults

LATE = Latency.model_validate({"type": "latency", "latency": "300ms"})


@pytest.fixture
def stack(tmp_path: Path, world: FakeWorld) -> Iterator[FakeStack]:
    with ScriptedServer() as http:
        yield FakeStack(tmp_path, http, world)


def hold(stack: FakeStack, out: Path, **more: Any) -> FaultHolder:
    guard = NoGuard("the stack is in this process")
    return FaultHolder(stack, out=out, name="mine", clock=stack.clock, guard=guard, **more)


def toxics(stack: FakeStack) -> list[str]:
    return [toxic.type for toxic in stack.proxy.toxics() if toxic.name.startswith("vqchaos.")]


def test_a_fault_is_in_force_inside_its_block_and_the_history_says_so(
    stack: FakeStack, tmp_path: Path
) -> None:
    with hold(stack, tmp_path / "runs") as chaos:
        with chaos.inject(LATE) as item:
            assert toxics(stack) == ["latency"]
            assert [entry.type for entry in Ledger(stack.state_dir).in_force()] == ["latency"]
            assert item.entry is not None
        assert toxics(stack) == []
        assert Ledger(stack.state_dir).in_force() == []
    assert chaos.folder is not None
    events = read(chaos.folder / "history.jsonl")
    assert [e.answer for e in events if isinstance(e, FaultVerified)] == ["yes"]
    assert len([e for e in events if isinstance(e, FaultReverted)]) == 1
    assert isinstance(events[-1], RunEnded)
    assert "type: latency" in (chaos.folder / "experiment.yaml").read_text(encoding="utf-8")
    assert json.loads((chaos.folder / "stack.json").read_text(encoding="utf-8")) == {"name": "fake"}


def test_two_at_once_are_reverted_from_the_inside_out(stack: FakeStack, tmp_path: Path) -> None:
    with hold(stack, tmp_path / "runs") as chaos:
        with chaos.inject(LATE), chaos.inject(ProxyDown(type="proxy_down")):
            assert len(Ledger(stack.state_dir).in_force()) == 2
            assert not stack.proxy.enabled()
        assert stack.proxy.enabled()
        assert toxics(stack) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(drawn=st.lists(faults(["latency", "proxy_down"]), min_size=1, max_size=4))
def test_whatever_network_faults_are_held_at_once_nothing_is_left(
    stack: FakeStack, tmp_path: Path, drawn: list[Fault]
) -> None:
    before = stack.world.snapshot()
    with hold(stack, tmp_path / "runs") as chaos, ExitStack() as block:
        for fault in drawn:
            with suppress(FaultError):  # a proxy that is off already cannot be switched off
                block.enter_context(chaos.inject(fault))
        assert stack.world.snapshot() != before
    assert stack.world.snapshot() == before
    assert Ledger(stack.state_dir).in_force() == []


def test_a_test_that_fails_leaves_nothing(stack: FakeStack, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="of the test"),
        hold(stack, tmp_path / "runs") as chaos,
        chaos.inject(LATE),
    ):
        raise AssertionError("of the test")
    assert toxics(stack) == []
    assert Ledger(stack.state_dir).in_force() == []


def test_a_signal_in_mid_injection_waits_and_then_counts(
    stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Latency.inject

    def signalled(self: Latency, *args: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        whole(self, *args)

    monkeypatch.setattr(Latency, "inject", signalled)
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(Interrupted),
        hold(stack, tmp_path / "runs") as chaos,
        chaos.inject(LATE),
    ):
        pytest.fail("the block must not begin")
    assert toxics(stack) == []
    assert Ledger(stack.state_dir).in_force() == []
    assert signal.getsignal(signal.SIGINT) is before


def test_what_cannot_be_reverted_is_told_with_the_way_out(
    stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> str:
        raise FaultError("Toxiproxy says no")

    monkeypatch.setattr(Latency, "revert", refuse)
    with (
        pytest.raises(UncleanError, match="Toxiproxy says no") as caught,
        hold(stack, tmp_path / "runs") as chaos,
        chaos.inject(LATE),
    ):
        pass
    assert "vqchaos heal" in str(caught.value.hint)
    assert len(Ledger(stack.state_dir).in_force()) == 1
    with pytest.raises(UncleanError, match="still in force"), hold(stack, tmp_path / "runs"):
        pytest.fail("a stack with a fault in force is not held")


def test_it_holds_the_stack_as_a_run_does(stack: FakeStack, tmp_path: Path) -> None:
    with (
        hold(stack, tmp_path / "runs"),
        pytest.raises(StackLocked, match="held by mine"),
        hold(stack, tmp_path / "runs"),
    ):
        pytest.fail("two at once")


def test_production_and_what_the_stack_lacks_are_refused(stack: FakeStack, tmp_path: Path) -> None:
    stack.environment = "production"
    with pytest.raises(UsageError, match="production"), hold(stack, tmp_path / "runs"):
        pytest.fail("without a word")
    stack.lacks = {Capability.PROXY: "no proxy_api"}
    with (
        hold(stack, tmp_path / "runs", yes=True) as chaos,
        pytest.raises(CapabilityMissing, match="no proxy_api"),
        chaos.inject(LATE),
    ):
        pytest.fail("out of reach")


def test_what_did_not_take_hold_never_lets_the_block_begin(
    stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Latency, "verify", lambda *_: Verification("no", "it was as fast"))
    with (
        pytest.raises(FaultError, match="it was as fast"),
        hold(stack, tmp_path / "runs") as chaos,
        chaos.inject(LATE),
    ):
        pytest.fail("the block must not begin")
    assert toxics(stack) == []


def test_a_block_that_was_never_left_is_reverted_at_the_end(
    stack: FakeStack, tmp_path: Path
) -> None:
    with hold(stack, tmp_path / "runs") as chaos:
        never_left = chaos.inject(LATE)
        never_left.__enter__()
        assert toxics(stack) == ["latency"]
    assert toxics(stack) == []
    assert Ledger(stack.state_dir).in_force() == []


def test_a_fault_with_times_of_its_own_is_refused_and_names_are_told_apart(
    stack: FakeStack, tmp_path: Path
) -> None:
    timed = Latency.model_validate({"type": "latency", "latency": "300ms", "for": "2s"})
    with hold(stack, tmp_path / "runs") as chaos:
        with pytest.raises(UsageError, match="`for`"), chaos.inject(timed):
            pytest.fail("as long as its block, nothing else")
        for _ in range(2):
            with chaos.inject(LATE):
                pass
    assert chaos.folder is not None
    assert [f.name for f in load_experiment(chaos.folder / "experiment.yaml").faults] == [
        "latency", "latency-1",
    ]  # fmt: skip


def test_a_live_mark_of_elsewhere_is_a_refusal(stack: FakeStack, tmp_path: Path) -> None:
    deadline = int(stack.clock.wall()) + 600
    mark = Toxic(f"vqchaos.elsewhere.0.{deadline}", "latency", "downstream", 1.0, {"latency": 1})
    stack.proxy.add(mark)
    with pytest.raises(UncleanError, match="elsewhere"), hold(stack, tmp_path / "runs"):
        pytest.fail("somebody else's fault is in force")
