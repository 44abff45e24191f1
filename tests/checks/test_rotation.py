from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.checks.judging import result
from tests.histories import World, experiment
from vqchaos.history.events import ContainerEvent, RouterReplica
from vqchaos.view.rotation import turns

CHECK = {"type": "rotation", "replica": "server-1", "out": "5s", "back": "4s"}


def word(at: float, replica: str, up: bool | None) -> RouterReplica:
    number = {"server-1": 1, "server-2": 2}.get(replica)
    return RouterReplica(t=at, replica=replica, up=up, status="", number=number)


def container(at: float, action: str, service: str = "server-1", **more: Any) -> ContainerEvent:
    facts: dict[str, Any] = {"role": "server", "number": 1, "container": "c", **more}
    return ContainerEvent(t=at, action=action, service=service, **facts)


def world(*changes: tuple[float, bool | None], held: bool = True, reverted: bool = True) -> World:
    """A fault at 12 s, reverted at 22 s; the router's words of server-1; server-2 stays in."""
    made = World().inject(held=held, reverted=22.0 if reverted else None)
    made.add(word(0.3, "server-1", up=True), word(0.3, "server-2", up=True))
    return made.add(*(word(at, "server-1", up) for at, up in changes))


def test_out_and_back_in_time() -> None:
    found = result(world((15.0, False), (24.0, True)), CHECK)
    assert found.verdict == "pass"
    assert found.why == (
        "server-1 was out 3s after the injection, limit 5s; "
        "server-1 was back 2s after the fault was reverted, limit 4s"
    )
    assert found.observed == "out 3s, back 2s"
    assert found.limit == "out 5s, back 4s"


def test_too_late_out_or_back_fails() -> None:
    late = result(world((18.0, False), (24.0, True)), CHECK)
    assert late.verdict == "fail"
    assert "out 6s after the injection, limit 5s" in late.why
    late = result(world((15.0, False), (30.0, True)), CHECK)
    assert late.verdict == "fail"
    assert "back 8s after the fault was reverted, limit 4s" in late.why


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (container(21.0, "start"), "its container started"),
        (container(21.0, "unpause"), "its container was unpaused"),
        (container(21.0, "start", service="server", number=1), None),
        (container(21.0, "start", service="server-2"), None),
        (container(25.0, "start"), None),  # after it was back
        (container(11.0, "start"), None),  # before the injection
    ],
)
def test_back_counts_from_its_own_container_where_the_history_has_it(
    event: ContainerEvent, what: str | None
) -> None:
    found = result(world((15.0, False), (24.0, True)).add(event), CHECK)
    if event.service == "server":  # Compose's `server`, number 1, is server-1
        what = "its container started"
    assert (
        "back 3s after " + what if what else "back 2s after the fault was reverted"
    ) in found.why


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (container(21.0, "start", service="server-1-gpu", replica=1), True),
        (container(21.0, "start", service="server-2-gpu", replica=2), False),
        (container(21.0, "start", service="server-1-gpu"), False),  # of a version without it
        (container(21.0, "start", service="router", role="router", replica=1), False),
    ],
)
def test_where_names_differ_the_replicas_number_says_which_container_it_is(
    event: ContainerEvent, told: bool
) -> None:
    found = result(world((15.0, False), (24.0, True)).add(event), CHECK)
    assert ("back 3s after its container started" in found.why) is told


def test_where_names_are_the_services_no_number_is_asked() -> None:
    """The router counts its servers in an order of its own."""
    made = world((15.0, False), (24.0, True))
    made.add(container(14.0, "die", service="server-2", replica=1))
    made.add(container(21.0, "start", service="server-2", replica=1))
    assert "back 2s after the fault was reverted" in result(made, CHECK).why


def test_an_instant_fault_without_a_container_has_no_anchor() -> None:
    found = result(world((15.0, False), (24.0, True), held=False, reverted=False), CHECK)
    assert found.verdict == "unknown"
    assert "does not say from when on server-1 could serve again" in found.why


def test_never_out_fails_unless_the_fault_was_over_before_the_limit() -> None:
    found = result(world(), {**CHECK, "back": None})
    assert found.verdict == "fail"
    assert found.why == "server-1 was never out after the injection, limit 5s"
    found = result(world(), {**CHECK, "out": "15s", "back": None})
    assert found.verdict == "unknown"
    assert "but the fault was reverted 10s after it already" in found.why
    assert result(world(), {**CHECK, "out": None}).verdict == "unknown"


def test_not_back_fails_unless_it_was_watched_for_less_than_the_limit() -> None:
    found = result(world((15.0, False)), CHECK)
    assert found.verdict == "fail"
    assert "was not back 23s after the fault was reverted, limit 4s" in found.why
    found = result(world((15.0, False)), {**CHECK, "back": "60s"})
    assert found.verdict == "unknown"


def test_one_that_goes_in_and_out_is_back_when_it_stays() -> None:
    found = result(world((15.0, False), (16.0, True), (17.0, False), (23.0, True)), CHECK)
    assert "was back 1s after the fault was reverted (it went out 2 times)" in found.why
    early = result(world((15.0, False), (18.0, True)), CHECK)
    assert early.verdict == "pass"
    assert "was back before the fault was reverted" in early.why


def test_without_a_name_it_is_about_those_that_went_out() -> None:
    any_of = {**CHECK, "replica": None}
    found = result(world((15.0, False), (24.0, True)), any_of)
    assert found.verdict == "pass"
    assert "server-2" not in found.why
    found = result(world(), any_of)
    assert found.verdict == "fail"
    assert "server-2 was never out" in found.why


@pytest.mark.parametrize(
    ("made", "check", "said"),
    [
        (World().inject(held=True), CHECK, "`router_stats`"),
        (world(), {**CHECK, "replica": "server-3"}, "seen: server-1, server-2"),
        (world((11.0, False)), CHECK, "out already before the injection"),
        (world((13.0, None)), {**CHECK, "back": None}, "no word any more"),
        (world((15.0, False), (23.0, None)), CHECK, "when the last was seen of it"),
        (World().add(word(0.3, "server-1", up=True)), CHECK, "nothing was injected"),
        (World().inject().add(word(13.0, "server-1", up=False)), CHECK, "was not known before"),
    ],
)
def test_what_cannot_be_told_is_unknown(made: World, check: dict[str, Any], said: str) -> None:
    found = result(made, check)
    assert found.verdict == "unknown"
    assert said in found.why


def test_a_limit_is_needed() -> None:
    with pytest.raises(ValidationError, match="expected `out`, `back` or both"):
        experiment(checks=[{"type": "rotation"}])


WORDS = st.lists(st.tuples(st.floats(0, 100), st.sampled_from([True, False, None])), max_size=12)


@given(words=WORDS, since=st.floats(0, 100))
def test_moments_are_in_order_and_after_the_injection(
    words: list[tuple[float, bool | None]], since: float
) -> None:
    events = [word(at, "a", up) for at, up in sorted(words, key=lambda item: item[0])]
    found = turns(events, "a", since)
    assert (found.times == 0) == (found.out_at is None)
    if found.out_at is not None:
        assert found.out_at >= since
    if found.back_at is not None:
        assert found.out_at is not None
        assert found.back_at >= found.out_at
        after = [e.up for e in events if e.t > found.back_at]
        assert False not in after, "it came back to stay"
