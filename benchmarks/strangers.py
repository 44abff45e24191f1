"""Bad servers that others wrote: what they do, and how it is classified.

    pip install llmock errorworks     # errorworks needs Python 3.12; any environment will do
    PYTHONPATH=src:. python benchmarks/strangers.py [FOLDER_OF_LLMOCK] [FOLDER_OF_CHAOSLLM] [PORT]

Each is started with one fault at probability 1, and asked for 20 chat answers, half streamed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from vqchaos.load.client import Client, Flight
from vqchaos.load.generator import Issuer
from vqchaos.load.plan import LoadPlan
from vqchaos.load.prompts import Prompt

LLMOCK: dict[str, list[str]] = {
    "nothing": [],
    "error-rate 429": ["--error-rate", "429=1"],
    "error-rate 500": ["--error-rate", "500=1"],
    "error-rate 503": ["--error-rate", "503=1"],
    "stream disconnect": ["--stream-fault", "disconnect=1"],
    "stream truncate": ["--stream-fault", "truncate=1"],
    "stream stall": ["--stream-fault", "stall=1"],
    "stream malformed": ["--stream-fault", "malformed=1"],
}
CHAOSLLM: dict[str, list[str]] = {
    "nothing": ["--rate-limit-pct", "0"],
    "rate-limit": ["--rate-limit-pct", "100"],
    "capacity-529": ["--capacity-529-pct", "100"],
    "service-unavailable": ["--service-unavailable-pct", "100"],
    "internal-error": ["--internal-error-pct", "100"],
    "timeout": ["--timeout-pct", "100"],
}


def ask(url: str) -> Counter[tuple[str, str, str]]:
    async def go() -> Counter[tuple[str, str, str]]:
        issue = Issuer()
        async with Client(origin=time.monotonic(), headers={}, issued=issue) as client:

            async def one(stream: bool) -> tuple[str, str, str]:
                plan = LoadPlan(
                    name="c", url=url, model="gpt-4o", api="chat", stream=stream, deadline=4.0
                )
                call = plan.call(Prompt("Say a few words."), issue(), time.monotonic())
                got, _ = await client.send(Flight(call))
                return ("stream" if stream else "whole", got.outcome, got.detail[:90])

            return Counter(await asyncio.gather(*(one(n % 2 == 0) for n in range(20))))

    return asyncio.run(go())


def drive(name: str, command: list[str], port: int) -> None:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        if process.poll() is not None:
            print(f"{name:32} did not start")
            return
        for (form, outcome, detail), count in sorted(ask(f"http://127.0.0.1:{port}").items()):
            print(f"{name:32} {form:7} {count:3} {outcome:13} {detail}", flush=True)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main(llmock: str = "", chaosllm: str = "", port: int = 18390) -> None:
    folders = (
        ("llmock", llmock, LLMOCK),
        ("chaosllm", chaosllm, CHAOSLLM),
    )
    for program, folder, faults in folders:
        path = str(Path(folder) / program) if folder else program
        for fault, options in faults.items():
            port += 1
            drive(f"{program}: {fault}", [path, "serve", "--port", str(port), *options], port)


if __name__ == "__main__":
    main(*sys.argv[1:3])
