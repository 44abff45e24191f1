"""Which headers go out, read off the wire: the user's own, and ours over them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.load.client import Call, Client, Flight

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BODY = b'{"prompt":"hi"}'
ID = "vqc-00000001"


def heads(headers: dict[str, str], *, reuse: bool = False) -> tuple[list[str], list[str]]:
    """The header lines, in small letters, of a POST and of a GET with these of the user."""
    seen: list[list[str]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        seen.append(head.split("\r\n")[1:-2])
        if head.startswith("post"):
            assert await reader.readexactly(len(BODY)) == BODY
        writer.write(ANSWER)
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        call = Call(
            workload="w", id=ID, api="completions", url=url, body=BODY,
            stream=False, due=0.0, deadline=10.0, reuse=reuse,
        )  # fmt: skip
        async with Client(origin=time.monotonic(), headers=headers) as client:
            request, _ = await client.send(Flight(call))
            assert request.status == 200, request
            fetched = await client.get(url, 10.0)
            assert fetched.status == 200, fetched
        server.close()
        await server.wait_closed()

    asyncio.run(go())
    return seen[0], seen[1]


def names(lines: list[str]) -> list[str]:
    return sorted(line.partition(":")[0] for line in lines)


OURS = ["accept-encoding", "connection", "content-length", "content-type", "x-request-id"]


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_each_of_ours_goes_out_once_whatever_the_user_names(
    case: Callable[[str], str], reuse: bool
) -> None:
    named = [*OURS, "transfer-encoding", "x-team", "authorization"]
    post, get = heads({case(name): "theirs" for name in named}, reuse=reuse)
    assert names(post) == sorted({*OURS, "accept", "host", "x-team", "authorization"})
    assert {
        "accept-encoding: identity",
        f"content-length: {len(BODY)}",
        "content-type: application/json",
        f"x-request-id: {ID}",
        "x-team: theirs",
        "authorization: theirs",
    } <= set(post)
    assert ("connection: theirs" if reuse else "connection: close") in post
    assert len(names(get)) == len(set(names(get)))
    assert {"accept-encoding: identity", "x-team: theirs"} <= set(get)
    assert not {"content-length", "transfer-encoding"} & set(names(get))


@given(
    st.dictionaries(
        st.sampled_from(
            ["Host", "content-Type", "X-request-ID", "ACCEPT", "CONTENT-length", "X-Team", "Te"]
        ),
        st.sampled_from(["a", "chunked", "7"]),
    )
)
def test_no_header_goes_out_twice(headers: dict[str, str]) -> None:
    for lines in heads(headers):
        assert len(names(lines)) == len(set(names(lines)))
