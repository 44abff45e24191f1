"""HAProxy's statistics: what they say of each server, and that only changes are written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.history.events import Event, RouterReplica
from vqchaos.probes.router import RouterWatch, numbers, parse, takes_requests

HEAD = "# pxname,svname,qcur,status,last_chk,"


def page(*servers: tuple[str, str]) -> str:
    """As HAProxy 2.6 writes it, shortened."""
    rows = [f'replicas,{name},0,{status},"L7OK, ""fine""",' for name, status in servers]
    return "\n".join([HEAD, "clients,FRONTEND,,OPEN,,", *rows, "replicas,BACKEND,0,UP,,", ""])


def test_servers_and_their_status() -> None:
    found = parse(page(("server-1", "UP"), ("server-2", "DOWN 1/2")))
    assert found == {"server-1": "UP", "server-2": "DOWN 1/2"}
    assert parse(HEAD + "\n") == {}


@pytest.mark.parametrize("text", ["", "<html>", "a,b,c\n1,2,3", HEAD + '\nx,"s'])
def test_what_is_no_statistics_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"HAProxy|end of data"):
        parse(text)


@given(st.text())
def test_any_text_is_statistics_or_an_error_and_clean(text: str) -> None:
    found = parse(HEAD + "\n" + text) if _is_csv(text) else {}
    assert all(name.isprintable() and status.isprintable() for name, status in found.items())


def _is_csv(text: str) -> bool:
    try:
        parse(HEAD + "\n" + text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("status", "up"),
    [
        ("UP", True),
        ("UP 1/3", True),
        ("no check", True),
        ("DOWN", False),
        ("DOWN 1/2", False),
        ("MAINT", False),
        ("MAINT (resolution)", False),
        ("NOLB", False),
        ("DRAIN", False),
    ],
)
def test_who_takes_requests(status: str, up: bool) -> None:
    assert takes_requests(status) is up


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["server-1", "server-2"], [1, 2]),
        (["server-2", "server-1"], [2, 1]),
        (["gpu02", "gpu01"], [2, 1]),
        (["big", "small"], [1, 2]),
        (["a", "b2"], [1, 2]),
        (["a1", "b1"], [1, 2]),
        (["a0", "a1"], [1, 2]),
        ([], []),
    ],
)
def test_which_replica_a_name_of_the_routers_is(names: list[str], expected: list[int]) -> None:
    assert numbers(names) == dict(zip(names, expected, strict=True))


@dataclass
class Got:
    status: int | None
    body: bytes = b""
    error: str = ""


def watch(*answers: Got) -> list[tuple[str, bool | None, str]]:
    """What is written of these answers, one a poll."""
    out: list[Event] = []
    left = iter(answers)

    async def get(_url: str, _timeout: float) -> Got:
        return next(left)

    async def go() -> None:
        watch = RouterWatch(url="u", get=get, emit=out.append, now=lambda: 1.0)
        for _ in answers:
            await watch.once()

    asyncio.run(go())
    assert all(isinstance(event, RouterReplica) for event in out)
    return [(e.replica, e.up, e.status) for e in out if isinstance(e, RouterReplica)]


def said(*servers: tuple[str, str]) -> Got:
    return Got(200, page(*servers).encode())


def test_only_changes_are_written() -> None:
    assert watch(
        said(("a", "UP"), ("b", "UP")),
        said(("a", "UP"), ("b", "UP 1/3")),
        said(("a", "UP"), ("b", "DOWN")),
        said(("a", "UP"), ("b", "DOWN 1/2")),
        said(("a", "UP"), ("b", "UP")),
    ) == [("a", True, "UP"), ("b", True, "UP"), ("b", False, "DOWN"), ("b", True, "UP")]


def test_a_router_without_a_word_is_said_once() -> None:
    assert watch(
        Got(None, error="refused"),  # nobody is known yet
        said(("a", "UP")),
        Got(None, error="timeout"),
        Got(503),
        Got(200, b"<html>"),
        said(("a", "UP")),
        said(),
    ) == [
        ("a", True, "UP"),
        ("a", None, "timeout"),
        ("a", True, "UP"),
        ("a", None, "the router names it no more"),
    ]


def test_names_and_words_are_data() -> None:
    [(name, up, status)] = watch(said(("a\x1b[31m" + "x" * 100, "UP\x00 now" + "y" * 100)))
    assert name.startswith("ax")
    assert len(name) <= 64
    assert up is True
    assert status.startswith("UP now")
    assert len(status) <= 40


def test_the_number_goes_with_each_word_also_of_one_that_is_named_no_more() -> None:
    out: list[Event] = []
    left = iter([said(("b2", "UP"), ("a1", "DOWN")), said(("a1", "DOWN")), Got(503)])

    async def get(_url: str, _timeout: float) -> Got:
        return next(left)

    async def go() -> None:
        watch = RouterWatch(url="u", get=get, emit=out.append, now=lambda: 1.0)
        for _ in range(3):
            await watch.once()

    asyncio.run(go())
    words = [(e.replica, e.number, e.up) for e in out if isinstance(e, RouterReplica)]
    assert words == [("b2", 2, True), ("a1", 1, False), ("b2", 2, None), ("a1", 1, None)]
