"""What a streamed request costs the load's client: its process's own CPU, in µs a request.

    PYTHONPATH=src:. python benchmarks/client_cpu.py [REQUESTS]

Streams of eight words, 5 ms apart, 250 a second, from a server in a process of its own; with a
fresh connection for each and with kept ones. CPU time can be trusted where the machine is shared.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

from vqchaos.load.client import Call, Client, Flight

BODY = json.dumps({"model": "m", "prompt": "Count, please.", "max_tokens": 8, "stream": True})


async def measure(url: str, count: int, *, reuse: bool) -> float:
    async def ask(number: int) -> None:
        call = Call(
            workload="clients",
            id=f"vqc-{number:08x}",
            api="completions",
            url=url,
            body=BODY.encode(),
            stream=True,
            due=time.monotonic(),
            deadline=20.0,
            reuse=reuse,
        )
        request, _ = await client.send(Flight(call))
        assert request.outcome == "ok", request

    async with Client(origin=time.monotonic(), headers={}) as client:
        await ask(0)
        began = time.process_time()
        async with asyncio.TaskGroup() as group:
            for number in range(1, count + 1):
                group.create_task(ask(number))
                await asyncio.sleep(0.004)
        return (time.process_time() - began) / count


def main(count: int) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.stamping_server", "0.005"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1/completions"
    for reuse in (False, True):
        cost = asyncio.run(measure(url, count, reuse=reuse)) * 1e6
        print(f"{'reuse' if reuse else 'fresh'}: {cost:.0f} µs a request")
    server.communicate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
