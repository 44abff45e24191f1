from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import STRANGERS_TOXIC, FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.latency import Latency
from vqchaos.stack.protocols import Toxic


def latency(**settings: Any) -> Latency:
    return Latency.model_validate({"type": "latency", "latency": "300ms", **settings})


def injected(world: FakeWorld, fault: Latency) -> dict[str, Any]:
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    return state


def test_the_plan_says_delay_stream_and_undo(world: FakeWorld) -> None:
    assert latency(stream="upstream").plan(world) == [
        "add a toxic: 300ms on the upstream",
        "undo: remove that toxic, no other",
    ]


def test_the_toxic_is_what_the_settings_say_in_milliseconds(world: FakeWorld) -> None:
    fault = latency(latency="1.25s", jitter="20ms", stream="upstream", toxicity="50%")
    injected(world, fault)
    name = "vqchaos.a1b2c3d4.1.1800000600"
    assert world.proxy.toxics() == [
        STRANGERS_TOXIC,
        Toxic(name, "latency", "upstream", 0.5, {"latency": 1250, "jitter": 20}),
    ]


def test_revert_leaves_strangers_toxics(world: FakeWorld) -> None:
    fault = latency()
    state = injected(world, fault)
    assert Latency.revert(world, state) == ""
    assert world.proxy.toxics() == [STRANGERS_TOXIC]
    assert Latency.revert(world, state) == "the toxic was gone already"


def test_verify_measures_the_delay(world: FakeWorld) -> None:
    fault = latency()
    state = injected(world, fault)
    answer = fault.verify(world, state)
    assert answer.answer == "yes"
    assert "took 303ms" in answer.why


def test_a_delay_that_is_listed_but_not_felt_is_not_verified(world: FakeWorld) -> None:
    fault = latency()
    state = injected(world, fault)
    world.proxy.timed_connect = lambda timeout: 0.002  # type: ignore[method-assign]
    answer = fault.verify(world, state)
    assert answer.answer == "no"
    assert "only 2ms" in answer.why


def test_with_jitter_or_a_share_the_listing_is_enough(world: FakeWorld) -> None:
    cases: list[dict[str, Any]] = [{"jitter": "300ms"}, {"toxicity": 0.1}]
    for number, settings in enumerate(cases, 1):
        fault = latency(**settings)
        state = fault.capture(world, ticket(number))
        fault.inject(world, state, lambda: None)
        world.proxy.timed_connect = lambda timeout: 0.002  # type: ignore[method-assign]
        assert fault.verify(world, state).answer == "yes"


def test_a_toxic_that_another_changed_is_not_verified(world: FakeWorld) -> None:
    fault = latency()
    state = injected(world, fault)
    name = state["toxic"]
    world.proxy.listed[name] = Toxic(name, "latency", "downstream", 1.0, {"latency": 1})
    assert fault.verify(world, state).answer == "no"


@pytest.mark.parametrize("step", ["plan", "capture"])
def test_without_the_proxy(world: FakeWorld, step: str) -> None:
    world.proxy.die()
    with pytest.raises(FaultError, match="the proxy is not there") as caught:
        _ = latency().plan(world) if step == "plan" else latency().capture(world, ticket())
    assert "vqchaos up" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"latency": 300}, "a duration with a unit"),
        ({"jitter": "much"}, "a duration with a unit"),
        ({"stream": "sideways"}, "'downstream' or 'upstream'"),
        ({"toxicity": "101%"}, "a share"),
    ],
)
def test_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        latency(**settings)


def test_manual_names_the_toxic() -> None:
    assert "vqchaos.r.1.5" in Latency.manual({"toxic": "vqchaos.r.1.5"})[0]
