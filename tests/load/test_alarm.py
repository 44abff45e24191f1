from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from vqchaos.load import alarm
from vqchaos.load.alarm import Alarm

KINDS = ["the kernel's", "the loop's"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "the loop's":
        monkeypatch.setattr(alarm, "_library", lambda: None)
    return str(request.param)


def rings(work: Callable[[Alarm, asyncio.Event, list[float]], Awaitable[None]]) -> list[float]:
    async def go() -> None:
        rang = asyncio.Event()

        def ring() -> None:
            out.append(time.monotonic())
            rang.set()

        bell = Alarm(ring)
        async with asyncio.timeout(10):
            await work(bell, rang, out)
        bell.close()
        bell.close()

    out: list[float] = []
    asyncio.run(go())
    return out


@pytest.mark.usefixtures("kind")
def test_it_rings_once_and_not_before_its_time() -> None:
    due = time.monotonic() + 0.0123

    async def work(bell: Alarm, rang: asyncio.Event, _: list[float]) -> None:
        bell.set(due)
        await rang.wait()
        rang.clear()
        bell.set(time.monotonic() - 1)  # past: at once
        await rang.wait()

    first, _ = rings(work)
    assert first >= due - 1e-4


@pytest.mark.usefixtures("kind")
def test_what_is_cancelled_or_set_anew_does_not_ring() -> None:
    async def work(bell: Alarm, rang: asyncio.Event, out: list[float]) -> None:
        bell.set(time.monotonic() - 1)
        bell.cancel()
        bell.set(time.monotonic() - 1)
        bell.set(time.monotonic() + 0.02)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert out == []
        await rang.wait()

    assert len(rings(work)) == 1


@pytest.mark.usefixtures("kind")
def test_closed_it_does_not_ring_and_leaves_the_loop_alone() -> None:
    async def work(bell: Alarm, _: asyncio.Event, out: list[float]) -> None:
        bell.set(time.monotonic() - 1)
        bell.close()
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.002, done.set)
        await done.wait()
        assert out == []

    assert rings(work) == []
