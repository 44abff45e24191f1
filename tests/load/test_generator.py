from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from itertools import pairwise

from tests.scripted_server import ScriptedServer
from vqchaos.history.events import Request
from vqchaos.load.classify import OUR_ID
from vqchaos.load.client import Client
from vqchaos.load.generator import Generator, Issuer
from vqchaos.load.plan import LoadPlan


def run(
    server: ScriptedServer,
    work: Callable[[Generator, list[Request]], Awaitable[None]],
    rate: float = 50.0,
    deadline: float = 5.0,
    stream: bool = True,
) -> list[Request]:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        issue = Issuer()
        async with Client(origin=loop.time(), headers={}, issued=issue) as client:
            plan = LoadPlan(
                name="c",
                url=server.url,
                model="m",
                rate=rate,
                arrivals="constant",
                deadline=deadline,
                max_tokens=3,
                stream=stream,
            )
            generator = Generator(
                plan, seed=1, client=client, issue=issue, emit=out.append, crashed=errors.append
            )
            await work(generator, out)
            await generator.cancel()
            assert generator.in_flight == 0

    out: list[Request] = []
    errors: list[BaseException] = []
    asyncio.run(go())
    assert errors == []
    return out


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def test_a_slow_server_never_slows_the_arrivals() -> None:
    async def work(generator: Generator, _: list[Request]) -> None:
        generator.resume()
        await until(lambda: generator.in_flight >= 20)
        assert generator.streaming == 0

    with ScriptedServer(behaviour="hang") as server:
        out = run(server, work)
    dues = sorted(r.due for r in out)
    assert len(out) >= 20
    assert all(abs(b - a - 0.02) < 1e-5 for a, b in itertools.pairwise(dues))
    assert {r.outcome for r in out} == {"cancelled"}


def test_time_stands_still_while_paused() -> None:
    async def work(generator: Generator, out: list[Request]) -> None:
        assert not generator.running
        generator.resume()
        generator.resume()
        await until(lambda: len(out) >= 5)
        generator.pause()
        generator.pause()
        assert not generator.running
        await generator.quiet()
        count = len(out)
        await asyncio.sleep(0.2)  # ten requests' time
        assert len(out) == count
        generator.resume()
        await until(lambda: len(out) >= count + 5)

    with ScriptedServer() as server:
        out = run(server, work)
    late = [r.sent - r.due for r in out if r.sent is not None]
    assert min(late) > -0.002
    dues = sorted(r.due for r in out)
    gaps = [b - a for a, b in itertools.pairwise(dues)]
    assert min(gaps) > 0.019  # no burst after the pause
    assert max(gaps) > 0.2


def test_streaming_counts_those_that_a_fault_would_cut() -> None:
    async def streamed(generator: Generator, _: list[Request]) -> None:
        generator.resume()
        await until(lambda: generator.streaming >= 1)
        assert generator.streaming <= generator.in_flight

    with ScriptedServer(behaviour="hang-after") as server:
        run(server, streamed)
        run(server, streamed, stream=False)


def test_a_failed_task_of_ours_is_no_silent_loss() -> None:
    async def go() -> list[BaseException]:
        errors: list[BaseException] = []

        def broken(_: Request) -> None:
            raise RuntimeError("cannot record")

        issue = Issuer()
        async with Client(origin=0.0, headers={}, issued=issue) as client:
            plan = LoadPlan(name="c", url="http://127.0.0.1:1", model="m", rate=100.0)
            generator = Generator(
                plan, seed=1, client=client, issue=issue, emit=broken, crashed=errors.append
            )
            generator.resume()
            await until(lambda: bool(errors))
            await generator.cancel()
        return errors

    assert "cannot record" in str(asyncio.run(go())[0])


def test_ids_are_unique_and_known() -> None:
    issue = Issuer()
    ids = {issue() for _ in range(5000)}
    assert len(ids) == 5000
    assert all(i in issue for i in ids)
    assert "vqc-zzzzzzzz" not in issue


def test_no_two_ids_are_alike_and_none_is_forgotten() -> None:
    issue = Issuer()
    ids = [issue() for _ in range(50_000)]
    assert len(set(ids)) == len(ids)
    assert all(identity in issue for identity in ids)
    assert all(OUR_ID.fullmatch(identity) for identity in ids)
    strangers = [Issuer()() for _ in range(100)]
    assert sum(identity in issue for identity in strangers if identity not in set(ids)) == 0
    for odd in ("vqc-", "vqc-XXXXXXXX", "vqc-0000000", 7, None):
        assert odd not in issue


def test_ids_that_follow_each_other_look_unlike() -> None:
    issue = Issuer()
    numbers = [int(issue()[4:], 16) for _ in range(100)]
    assert all(abs(b - a) >= 2**28 for a, b in pairwise(numbers))
