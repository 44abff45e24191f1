"""The client against real sockets that misbehave."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scripted_server import ScriptedServer
from vqchaos.history.events import Request
from vqchaos.load.client import BODY_LIMIT, Client, ClientExhaustedError, Flight
from vqchaos.load.generator import Issuer
from vqchaos.load.plan import LoadPlan
from vqchaos.load.prompts import Prompt


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def plan(url: str, **change: Any) -> LoadPlan:
    return LoadPlan(name="c", url=url, model="m", **{"deadline": 5.0, "max_tokens": 6, **change})


def ask(
    url: str,
    prompt: str = "{{ok}}",
    headers: dict[str, str] | None = None,
    replica_header: str | None = None,
    **change: Any,
) -> Request:
    async def go() -> Request:
        issue = Issuer()
        async with Client(
            origin=origin, headers=headers or {}, replica_header=replica_header, issued=issue
        ) as client:
            call = plan(url, **change).call(Prompt(prompt), issue(), time.monotonic())
            request, _ = await client.send(Flight(call))
            return request

    origin = time.monotonic()
    return asyncio.run(go())


BOTH: list[tuple[str, str]] = [
    ("ok", "ok"),
    ("silent", "ok"),
    ("cut", "truncated"),
    ("cut-head", "truncated"),
    ("reset", "reset"),
    ("close", "reset"),
    ("reset-after", "truncated"),
    ("abort", "truncated"),
    ("no-finish", "truncated"),
    ("shed", "shed"),
    ("429", "shed"),
    ("retry-after", "shed"),
    ("html-503", "error"),
    ("400", "error"),
    ("500", "error"),
    ("not-found", "error"),
    ("wrong-code", "malformed"),
    ("page", "malformed"),
    ("json", "malformed"),
    ("half-json", "malformed"),
    ("empty", "malformed"),
    ("not-http", "malformed"),
]
CASES = [
    *(
        (behaviour, outcome, api, stream)
        for behaviour, outcome in BOTH
        for api in ("completions", "chat")
        for stream in (True, False)
    ),
    ("error-chunk", "stream_error", "completions", True),
    ("error-chunk", "stream_error", "chat", True),
    ("no-done", "truncated", "completions", True),
    ("no-done", "truncated", "chat", True),
    ("reasoning", "ok", "chat", True),
    ("reasoning-content", "ok", "chat", True),
    ("tools", "ok", "chat", True),
    ("tools", "ok", "chat", False),
]


@pytest.mark.parametrize(("behaviour", "outcome", "api", "stream"), CASES)
def test_outcome(
    server: ScriptedServer, behaviour: str, outcome: str, api: str, stream: bool
) -> None:
    request = ask(server.url, "{{" + behaviour + "}}", api=api, stream=stream)
    assert request.outcome == outcome, request
    assert request.detail or outcome == "ok"
    assert request.sent is not None
    assert request.due <= request.sent <= request.ended
    if outcome == "ok":
        assert request.sent <= (request.first_byte or 0) <= (request.first_token or 0)
        assert request.first_token == request.tokens[0]
        assert list(request.tokens) == sorted(request.tokens)
        assert request.completion_tokens == 6
        full = stream and behaviour != "silent"
        assert len(request.tokens) == (6 if full else 1)
    if outcome in ("reset", "refused"):
        assert request.first_byte is None


@pytest.mark.parametrize("stream", [True, False])
def test_a_hang_ends_at_its_deadline_and_lets_go(server: ScriptedServer, stream: bool) -> None:
    for behaviour, tokens in (("hang", 0), ("hang-after", 2 if stream else 0)):
        request = ask(server.url, "{{" + behaviour + "}}", stream=stream, deadline=0.2)
        assert request.outcome == "hung"
        assert len(request.tokens) == tokens
        assert request.sent is not None
        assert 0.2 <= request.ended - request.sent < 1.0


def test_tokens_have_their_own_moments(server: ScriptedServer) -> None:
    server.gap = 0.02
    try:
        request = ask(server.url)
    finally:
        server.gap = 0.0
    gaps = [b - a for a, b in zip(request.tokens, request.tokens[1:], strict=False)]
    assert min(gaps) > 0.005
    seen = server.seen[-1]
    assert seen.first_written is not None
    assert request.first_byte is not None
    assert request.first_token is not None
    assert request.first_token - request.first_byte > 0.01


def test_answers_of_others_are_misrouted(server: ScriptedServer) -> None:
    ask(server.url)  # somebody else's
    for api in ("completions", "chat"):
        for stream in (True, False):
            request = ask(server.url, "{{wrong-id}}", api=api, stream=stream)
            assert request.outcome == "misrouted"


def test_another_nonce_in_the_text_is_misrouted(server: ScriptedServer) -> None:
    async def go() -> list[str]:
        issue = Issuer()
        async with Client(origin=0.0, headers={}, issued=issue) as client:
            flights = [
                Flight(plan(server.url).call(Prompt(text), issue(), 0.0))
                for text in ("{{ok}}", "{{wrong-nonce}}")
            ]
            return [(await client.send(flight))[0].outcome for flight in flights]

    server.seen.clear()
    assert asyncio.run(go()) == ["ok", "misrouted"]


def test_no_listener_is_refused() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        request = ask(f"http://127.0.0.1:{sock.getsockname()[1]}")
    assert (request.outcome, request.detail) == ("refused", "connection refused")
    assert request.sent is not None


def test_no_such_name_is_refused() -> None:
    request = ask("http://nowhere.invalid:80", deadline=20.0)
    assert (request.outcome, request.detail) == ("refused", "the name was not resolved")


def test_no_tls_is_refused(server: ScriptedServer) -> None:
    request = ask(server.url.replace("http://", "https://"))
    assert request.outcome == "refused"


def test_a_connection_to_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens by chance to a client that polls a closed ephemeral port, made certain."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    def bound(_info: Any) -> socket.socket:
        own = socket.socket()
        own.setblocking(False)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(("127.0.0.1", port))
        return own

    async def go() -> Request:
        async with Client(origin=0.0, headers={}) as client:
            connector = client._session.connector
            assert connector is not None
            connector._socket_factory = bound  # type: ignore[attr-defined]
            call = plan(f"http://127.0.0.1:{port}").call(Prompt("x"), "vqc-00000000", 0.0)
            return (await client.send(Flight(call)))[0]

    request = asyncio.run(go())
    assert request.outcome == "refused"
    assert "itself" in request.detail
    with socket.socket() as again:  # and the port is free at once
        again.bind(("127.0.0.1", port))


def test_a_cancelled_request_says_so(server: ScriptedServer) -> None:
    async def go() -> Request:
        async with Client(origin=time.monotonic(), headers={}) as client:
            flight = Flight(plan(server.url).call(Prompt("{{hang}}"), "vqc-0", 0.0))
            task = asyncio.create_task(client.send(flight))
            while not any(s.id == "vqc-0" for s in server.seen):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            task.cancel()
            return (await task)[0]

    assert asyncio.run(go()).outcome == "cancelled"


def test_secrets_travel_but_are_never_written_down(server: ScriptedServer) -> None:
    secret = {"Authorization": "Bearer sk-verysecret"}
    request = ask(server.url, "{{echo-secret}}", headers=secret)
    assert server.headers_seen[-1]["authorization"] == "Bearer sk-verysecret"
    assert "verysecret" not in repr(request)
    assert "[redacted]" in request.detail


def test_every_request_has_its_id_and_a_connection_of_its_own(server: ScriptedServer) -> None:
    request = ask(server.url)
    assert server.seen[-1].id == request.id
    assert server.seen[-1].body["prompt"].startswith(f"[{request.id}] ")
    assert server.headers_seen[-1]["connection"] == "close"
    assert server.headers_seen[-1]["accept-encoding"] == "identity"


def test_get(server: ScriptedServer) -> None:
    async def go() -> list[Any]:
        async with Client(origin=0.0, headers={}) as client:
            out: list[Any] = []
            for health in ("200", "503", "reset", "hang"):
                server.health = health
                answer = await client.get(server.url + "/health", 0.2)
                out.append(answer.status or answer.error)
            out.append((await client.get("http://127.0.0.1:1/health", 1.0)).error)
            return out

    try:
        assert asyncio.run(go()) == [200, 503, "reset", "timeout", "refused"]
    finally:
        server.health = "200"


def test_an_endless_body_is_given_up(server: ScriptedServer) -> None:
    async def go() -> str:
        async with Client(origin=0.0, headers={}) as client:
            return (await client.get(server.url + "/metrics", 20.0)).error

    before = server.metrics
    server.metrics = "x" * (BODY_LIMIT + 1)
    try:
        assert asyncio.run(go()) == "malformed"
    finally:
        server.metrics = before


def test_running_out_of_sockets_is_our_own_failure(server: ScriptedServer) -> None:
    def exhausted(_info: Any) -> socket.socket:
        raise OSError(24, "Too many open files")

    async def go() -> None:
        async with Client(origin=0.0, headers={}) as client:
            connector = client._session.connector
            assert connector is not None
            connector._socket_factory = exhausted  # type: ignore[attr-defined]
            call = plan(server.url).call(Prompt("x"), "vqc-00000000", 0.0)
            await client.send(Flight(call))

    with pytest.raises(ClientExhaustedError, match="open files"):
        asyncio.run(go())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("behaviour", ["ok", "cut", "500", "hang-after"])
def test_who_answered_is_recorded_however_it_ended(behaviour: str, stream: bool) -> None:
    with ScriptedServer(replica="server-2") as server:
        prompt = "{{" + behaviour + "}}"
        told = ask(server.url, prompt, stream=stream, deadline=0.3, replica_header="x-replica")
        assert told.replica == "server-2"
        assert ask(server.url, prompt, stream=stream, deadline=0.3).replica is None


def test_who_answered_is_none_without_the_header_and_clean_with_it() -> None:
    with ScriptedServer() as server:
        assert ask(server.url, replica_header="X-Replica").replica is None
        assert ask(server.url, "{{hang}}", replica_header="X-Replica", deadline=0.1).replica is None
        server.replica = "a\tb\x85 sk-secret " + "x" * 100
        told = ask(server.url, headers={"X-Key": "sk-secret"}, replica_header="X-Replica").replica
    assert told is not None
    assert told.startswith("a b ")
    assert len(told) <= 70
    assert "sk-secret" not in told
    assert told.isprintable()
