"""`link:` and `replica:` of the network faults: which proxies they touch, and which never."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes import STRANGERS_TOXIC, FakeProxy, FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError, StackError
from vqchaos.faults import REGISTRY
from vqchaos.faults._proxy import ProxyFault
from vqchaos.faults.base import Fault, require_few
from vqchaos.stack.marked import MarkedToxic
from vqchaos.stack.protocols import Capability, ProxyRef, Removal, Toxic
from vqchaos.strategies import schedules

KINDS: dict[str, dict[str, Any]] = {"latency": {"latency": "300ms"}, "proxy_down": {}}
each_kind = pytest.mark.parametrize("kind", list(KINDS))


def fault(kind: str, **more: Any) -> ProxyFault:
    made = REGISTRY[kind].model_validate({"type": kind, **KINDS[kind], **more})
    assert isinstance(made, ProxyFault)
    return made


def to_replica(kind: str, replica: int | str | None = None) -> ProxyFault:
    chosen = {} if replica is None else {"replica": replica}
    return fault(kind, link="router-replica", **chosen)


def inject(world: FakeWorld, made: ProxyFault, number: int = 1) -> dict[str, Any]:
    """As the runner does; the state as the ledger gives it back."""
    state = made.capture(world, ticket(number))
    made.inject(world, state, lambda: None)
    assert made.verify(world, state).answer == "yes"
    kept: dict[str, Any] = json.loads(json.dumps(state))
    return kept


def touched(world: FakeWorld) -> list[str]:
    """The proxies that are not as they were."""
    names = [ref.name for ref in world.links()]
    clean = {STRANGERS_TOXIC.name: STRANGERS_TOXIC}
    proxies = {name: world.proxy_called(name) for name in names}
    return [n for n, p in proxies.items() if p.listed != clean or not p.is_enabled]


@each_kind
@pytest.mark.parametrize(
    ("more", "proxies", "target"),
    [
        ({}, ["clients"], "clients → server"),
        ({"link": "client-router"}, ["clients"], "clients → server"),
        ({"link": "router-replica"}, ["replica-1"], "router → replica 1"),
        ({"link": "router-replica", "replica": 2}, ["replica-2"], "router → replica 2"),
        (
            {"link": "router-replica", "replica": "all"},
            ["replica-1", "replica-2"],
            "router → every replica",
        ),
    ],
)
def test_it_touches_the_proxies_of_its_link_and_no_other(
    world: FakeWorld, kind: str, more: dict[str, Any], proxies: list[str], target: str
) -> None:
    made = fault(kind, **more)
    state = inject(world, made)
    assert state["proxies"] == proxies
    assert touched(world) == proxies
    assert (made.target_name() or "").startswith(target)
    assert type(made).verify_undone(world, state).answer == "no"
    type(made).revert(world, state)
    assert touched(world) == []
    assert type(made).verify_undone(world, state).answer == "yes"


@each_kind
def test_any_is_drawn_from_the_seed(world: FakeWorld, kind: str) -> None:
    made = to_replica(kind, "any")
    drawn = {seed: made.capture(world, ticket(seed=seed))["proxies"] for seed in range(20)}
    assert {name for [name] in drawn.values()} == {"replica-1", "replica-2"}
    assert all(
        made.capture(world, ticket(seed=s))["proxies"] == names for s, names in drawn.items()
    )
    assert made.target_name() in ("router → any replica", "router → any replica, downstream")


@each_kind
def test_the_plan_names_the_proxies(world: FakeWorld, kind: str) -> None:
    assert "→" not in fault(kind).plan(world)[0]
    assert " router → replica 2 (replica-2)" in to_replica(kind, 2).plan(world)[0]
    both = "router → replica 1 (replica-1), router → replica 2 (replica-2)"
    assert to_replica(kind, "all").plan(world)[0].count(f" {both}") == 1
    assert to_replica(kind, "any").plan(world)[0].count(f" one of {both}") == 1


@each_kind
def test_max_targets_counts_proxies_of_replicas(world: FakeWorld, kind: str) -> None:
    for few in (fault(kind), to_replica(kind), to_replica(kind, "any")):
        require_few(few, world, 1)
    with pytest.raises(FaultError, match="2 targets match and max_targets is 1"):
        require_few(to_replica(kind, "all"), world, 1)
    require_few(to_replica(kind, "all"), world, 2)


@each_kind
def test_what_the_stack_lacks_is_said(world: FakeWorld, kind: str) -> None:
    assert Capability.REPLICA_LINKS not in fault(kind).needed()
    assert Capability.REPLICA_LINKS in to_replica(kind).needed()
    with pytest.raises(FaultError, match="no proxy leads to replica 3; there is router → replica"):
        to_replica(kind, 3).targets(world)
    world.replica_proxies.clear()
    with pytest.raises(FaultError, match="no proxy on the link router-replica") as caught:
        to_replica(kind).capture(world, ticket())
    assert "links: {router-replica: …}" in str(caught.value.hint)


@each_kind
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"replica": 1}, "goes with `link: router-replica`"),
        ({"link": "client-router", "replica": "all"}, "goes with `link: router-replica`"),
        ({"link": "router-server"}, "'client-router' or 'router-replica'"),
        ({"link": "router-replica", "replica": 0}, "expected a number from 1, any or all"),
        ({"link": "router-replica", "replica": True}, "expected a number from 1, any or all"),
    ],
)
def test_settings(kind: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        fault(kind, **more)


@each_kind
def test_a_proxy_that_only_the_router_reaches_is_verified_by_its_listing(
    world: FakeWorld, kind: str
) -> None:
    made = to_replica(kind)
    state = made.capture(world, ticket())
    made.inject(world, state, lambda: None)
    assert "inside the network" in made.verify(world, state).why
    assert "proxy.timed_connect" not in world.calls


@each_kind
def test_one_of_two_that_lost_its_fault_is_not_verified(world: FakeWorld, kind: str) -> None:
    made = to_replica(kind, "all")
    state = inject(world, made)
    world.replica_proxies["replica-2"].listed.clear()
    world.replica_proxies["replica-2"].is_enabled = True
    assert made.verify(world, state).answer == "no"


@each_kind
def test_an_undo_that_fails_on_one_is_done_on_the_other_and_said(
    world: FakeWorld, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = to_replica(kind, "all")
    state = inject(world, made)

    def stuck(name: str) -> Removal:
        raise StackError("Toxiproxy gave no answer")

    with monkeypatch.context() as patch:
        patch.setattr(world.replica_proxies["replica-1"], "remove", stuck)
        with pytest.raises(StackError, match="no answer"):
            type(made).revert(world, state)
    assert touched(world) == ["replica-1"]
    type(made).revert(world, state)
    assert touched(world) == []


def test_an_entry_of_the_first_version_means_the_clients_proxy(world: FakeWorld) -> None:
    for kind in KINDS:
        made = fault(kind)
        state = inject(world, made)
        del state["proxies"]
        type(made).revert(world, state)
        assert type(made).verify_undone(world, state).answer == "yes"
        assert "the stack's proxy" in type(made).manual(state)[0]
    assert touched(world) == []


def test_the_manual_steps_name_the_proxies(world: FakeWorld) -> None:
    for kind in KINDS:
        made = to_replica(kind, "all")
        step = type(made).manual(made.capture(world, ticket()))[0]
        assert "Toxiproxy's replica-1, replica-2" in step


def test_a_mark_undoes_what_is_on_its_own_proxy() -> None:
    cases = [(Toxic("vqchaos.r.1.5", t, "downstream", 1.0, {}), t) for t in ("noop", "latency")]
    for toxic, kind in cases:
        thing = MarkedToxic(toxic, ProxyRef("replica-2", 2))
        states = [s for c in REGISTRY.values() if (s := c.from_mark(thing))]
        assert [state["proxies"] for state in states] == [["replica-2"]], kind


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    drawn=schedules(KINDS, replicas=2, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_whatever_is_injected_and_in_whatever_order_it_is_reverted_all_is_as_before(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Fault], order: Any
) -> None:
    world = FakeWorld(tmp_path_factory.mktemp("links") / "world")
    before = world.snapshot()
    done = []
    for number, made in enumerate(drawn, 1):
        with suppress(FaultError):  # what is off already cannot be switched off
            done.append((type(made), inject_blindly(world, made, number)))
    assert done
    order.shuffle(done)
    for cls, state in done:
        cls.revert(world, state)
        assert cls.verify_undone(world, state).answer == "yes"
    assert world.snapshot() == before


def inject_blindly(world: FakeWorld, made: Fault, number: int) -> dict[str, Any]:
    """Without a look at whether it was felt: another fault may have cut the way."""
    state = made.capture(world, ticket(number, seed=number))
    made.inject(world, state, lambda: None)
    kept: dict[str, Any] = json.loads(json.dumps(state))
    return kept


def test_the_fake_is_as_narrow_as_the_real_one(world: FakeWorld) -> None:
    proxy: FakeProxy = world.proxy_called("replica-1")
    with pytest.raises(StackError, match="only the router"):
        proxy.timed_connect(1.0)
