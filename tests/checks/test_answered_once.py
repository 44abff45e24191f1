from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.checks.judging import result
from tests.histories import World, changed
from tests.scripted_server import ScriptedServer
from vqchaos.history.events import PILOT, Request
from vqchaos.load.client import Client, Flight
from vqchaos.load.generator import Issuer
from vqchaos.load.plan import LoadPlan
from vqchaos.load.prompts import Prompt

CHECK = {"type": "answered_once"}


def world(**more: Any) -> World:
    """Every stream was looked at, and each is one answer."""
    return World(**more).inject().band(0, 100, lambda r: changed(r, mixed=""))


def test_streams_of_one_answer_each() -> None:
    found = result(world(), CHECK)
    assert found.verdict == "pass"
    assert "360 streams in the whole run, each one answer" in found.why


def test_a_stream_of_two_answers_fails_and_is_named() -> None:
    made = world().band(15, 15.2, lambda r: changed(r, mixed="a second [DONE]"), "clients")
    found = result(made, CHECK)
    assert found.verdict == "fail"
    assert "2 of 360 streams in the whole run held parts of two answers" in found.why
    assert "the first at 15.2 s: a second [DONE] (vqc-" in found.why
    assert result(made, {**CHECK, "phase": "baseline"}).verdict == "pass"
    assert result(made, {**CHECK, "phase": "fault", "workload": "clients"}).verdict == "fail"


def test_what_nobody_looked_at_is_unknown() -> None:
    """Not streamed, or of a history from before this was recorded."""
    found = result(World().inject(), CHECK)
    assert found.verdict == "unknown"
    assert "no stream in the whole run was looked at" in found.why
    pilots = World().inject().band(0, 100, lambda r: changed(r, mixed="x"), PILOT)
    assert result(pilots, CHECK).verdict == "unknown"


def seen(server: ScriptedServer, behaviour: str, api: str = "completions") -> Request:
    async def go() -> Request:
        issue = Issuer()
        async with Client(origin=origin, headers={}, issued=issue) as client:
            plan = LoadPlan(name="clients", url=server.url, model="m", api=api, max_tokens=6)
            call = plan.call(Prompt("{{" + behaviour + "}}"), issue(), time.monotonic())
            return (await client.send(Flight(call)))[0]

    origin = time.monotonic()
    return asyncio.run(go())


@pytest.mark.parametrize("api", ["completions", "chat"])
@pytest.mark.parametrize(
    ("behaviour", "sign"),
    [
        ("switched", "the id changed from "),
        ("twice", "an event after [DONE]"),
        ("resumed", "text of choice 0 after its finish reason"),
    ],
)
def test_a_server_that_mixes_answers_is_caught_by_the_client(
    behaviour: str, sign: str, api: str
) -> None:
    with ScriptedServer() as server:
        request = seen(server, behaviour, api)
        sound = [seen(server, word, api) for word in ("ok", "cut", "error-chunk", "no-done")]
        assert seen(server, "500", api).mixed is None
    assert request.mixed is not None
    assert request.mixed.startswith(sign)
    assert [r.mixed for r in sound] == [""] * 4
    found = result(world().add(changed(request, ended=15.0, sent=14.0)), CHECK)
    assert found.verdict == "fail"
    assert request.id in found.why
