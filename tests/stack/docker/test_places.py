"""Who runs in a replica's place, by Compose's labels."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.stack.docker.fake_engine import listed
from vqchaos.stack.docker.places import ours, places


def stand_in(service: str, number: int, identifier: str, owner: str = "f" * 64) -> dict[str, Any]:
    container = run(service, number, identifier)
    container["Labels"]["io.vqchaos.stands-for"] = owner
    return container


def run(service: str, number: int, identifier: str) -> dict[str, Any]:
    """As `docker compose run` makes one."""
    container = listed(service, number, identifier)
    container["Labels"]["com.docker.compose.oneoff"] = "True"
    return container


def test_a_stand_in_is_found_by_service_and_number_though_the_own_one_was_made_anew() -> None:
    anew, other = listed("server", 2, "a" * 64), stand_in("server", 2, "9" * 64)
    first, second = places([other, anew, listed("server", 1, "1" * 64)], "server", ["server"])
    assert (first.own, first.stand_ins) == (first.now, ())
    assert second.own is not None
    assert (second.own.id[0], second.now.id[0], second.now.replica) == ("a", "9", 2)


def test_a_stand_in_whose_own_one_was_removed_keeps_the_place() -> None:
    listing = [stand_in("server", 1, "9" * 64), listed("server", 2, "2" * 64)]
    first, second = places(listing, "server", ["server"])
    assert (first.own, first.now.id[0], first.now.replica) == (None, "9", 1)
    assert (second.now.id[0], second.replica) == ("2", 2)


def test_all_stand_ins_of_a_place_are_there() -> None:
    listing = [stand_in("server", 1, c * 64) for c in "89"] + [listed("server", 1, "1" * 64)]
    [place] = places(listing, "server", ["server"])
    assert [ref.id[0] for ref, _ in place.stand_ins] == ["8", "9"]
    assert place.now.id[0] == "8", "the daemon lists the newest first"


def test_a_strangers_one_off_is_no_replica() -> None:
    listing = [run("server", 1, "7" * 64), listed("server", 1, "1" * 64)]
    assert [place.now.id[0] for place in places(listing, "server", ["server"])] == ["1"]
    assert [ours(each["Labels"]) for each in listing] == [False, True]
    assert ours(stand_in("server", 1, "9" * 64)["Labels"])


CONTAINERS = st.lists(
    st.tuples(
        st.sampled_from([listed, run, stand_in]),
        st.sampled_from(["a", "b", "router"]),
        st.integers(1, 3),
    ),
    max_size=8,
)


@given(drawn=CONTAINERS)
def test_replicas_are_numbered_without_a_gap_and_each_in_the_order_of_its_service(
    drawn: list[tuple[Any, str, int]],
) -> None:
    listing = [
        make(service, number, f"{n:x}" * 64) for n, (make, service, number) in enumerate(drawn)
    ]
    found = places(listing, "server", ["a", "b"])
    assert [place.replica for place in found] == list(range(1, len(found) + 1))
    expected = {(s, n) for make, s, n in drawn if make is not run and s != "router"}
    assert len(found) == len(expected)
    assert [place.now.service for place in found] == sorted(service for service, _ in expected)
