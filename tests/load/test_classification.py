"""Every behaviour of the truth server, at random: each outcome is what the server did."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

from tests.truth_server import TRUTH, TruthServer, choose, truth
from vqchaos.history.events import OUTCOMES, Request
from vqchaos.load.client import Client, Flight
from vqchaos.load.generator import Issuer
from vqchaos.load.plan import LoadPlan
from vqchaos.load.prompts import Prompt

COUNT = 320
AT_ONCE = 40
# By other means: the end of the run, the canary, a port without a server.
ELSEWHERE = {"cancelled", "corrupted", "refused"}


def test_the_truth_knows_every_outcome() -> None:
    outcomes = {outcome for pair in TRUTH.values() for outcome in pair if outcome is not None}
    assert outcomes | ELSEWHERE == set(OUTCOMES)


def test_each_outcome_is_what_the_server_did() -> None:
    rng = random.Random(20)
    forms = [(api, stream) for api in ("completions", "chat") for stream in (True, False)]
    every = [
        (name, api, stream)
        for name, pair in TRUTH.items()
        for api, stream in forms
        if pair[0 if stream else 1] is not None
    ]
    while len(every) < COUNT:
        api, stream = rng.choice(forms)
        every.append((choose(rng, stream=stream), api, stream))
    rng.shuffle(every)
    every.insert(0, ("ok", "chat", True))  # whose id a stranger's answer can have
    origin = time.monotonic()

    async def go(url: str) -> list[Request]:
        issue, gate = Issuer(), asyncio.Semaphore(AT_ONCE)
        async with Client(origin=origin, headers={}, issued=issue) as client:

            async def one(name: str, api: str, stream: bool) -> Request:
                hangs = truth(name, stream=stream) == "hung"
                plan = LoadPlan(
                    name=name,
                    url=url,
                    model="m",
                    api=api,
                    stream=stream,
                    max_tokens=6,
                    deadline=0.3 if hangs else 30.0,
                )
                async with gate:
                    flight = Flight(
                        plan.call(Prompt("{{" + name + "}}"), issue(), time.monotonic())
                    )
                    return (await client.send(flight))[0]

            first = await one(*every[0])
            return [first, *await asyncio.gather(*(one(*each) for each in every[1:]))]

    with TruthServer(mode="prompt") as server:
        requests = asyncio.run(go(server.url))
    wrong = Counter(
        (r.workload, r.api, "stream" if r.stream else "whole", r.outcome, r.detail)
        for r in requests
        if r.outcome != truth(r.workload, stream=r.stream)
    )
    assert not wrong, "\n".join(map(str, wrong))
    assert len(requests) >= COUNT
