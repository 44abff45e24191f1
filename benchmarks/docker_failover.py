"""What clients of docker-compose.chaos.yml get while its replicas die: load, kills, a stop, an end.

    python benchmarks/docker_failover.py --project NAME [--rate 20] [--seconds 100]

The stack must be up, with both replicas. At 10 % of the time server-1's first process gets SIGKILL
on this machine's PID, at 30 % server-2's own process (not its init); from 50 % to 60 % server-1 is
stopped, from 75 % to 90 % server-2 is frozen. Then both are stopped, to see what a client is told.
Requests go four ways in turn: small and 200 kB prompts, plain and streamed. Needs root on the
daemon's machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

KINDS = [(size, stream) for size in (40, 200_000) for stream in (False, True)]


@dataclass
class Seen:
    """``states``: (when, server, its new state); ``answers``: (sent at, ended at, kind, what)."""

    zero: float
    tokens: int
    states: list[tuple[float, str, str]] = field(default_factory=list)
    answers: list[tuple[float, float, str, str]] = field(default_factory=list)
    replicas: Counter[str] = field(default_factory=Counter)
    sent_again: str = ""

    def now(self) -> float:
        return time.monotonic() - self.zero


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def container(project: str, service: str) -> str:
    labels = [("project", project), ("service", service)]
    filters = [f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels]
    found = docker("ps", "-aq", *filters).split()
    if len(found) != 1:
        sys.exit(f"{len(found)} containers of service {service} in project {project}, expected 1")
    return found[0]


def crash(name: str, *, child: bool) -> None:
    """SIGKILL on this machine's PID: Docker's own kill would suppress the restart policy."""
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", name))
    if child:
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


async def ask(session: aiohttp.ClientSession, url: str, size: int, stream: bool, seen: Seen) -> str:
    body = {
        "model": "qwen3",
        "prompt": "x " * (size // 2),
        "max_tokens": seen.tokens,
        "stream": stream,
    }
    body |= {"temperature": 0}
    try:
        async with session.post(f"{url}/v1/completions", json=body) as answer:
            text = await answer.text()
            seen.replicas[answer.headers.get("X-Vqchaos-Replica", "none")] += 1
            if answer.status != 200:
                return f"{answer.status} {answer.content_type}"
            if stream:
                return "ok" if "[DONE]" in text and '"error"' not in text else "stream error"
            return "ok"
    except TimeoutError:
        return "timeout"
    except aiohttp.ClientError as error:
        return type(error).__name__


async def one(session: aiohttp.ClientSession, url: str, kind: tuple[int, bool], seen: Seen) -> None:
    sent = seen.now()
    what = await ask(session, url, *kind, seen)
    size, stream = kind
    name = f"{'small' if size < 1000 else '200 kB'} {'stream' if stream else 'plain'}"
    seen.answers.append((sent, seen.now(), name, what))


async def watch(session: aiohttp.ClientSession, stats: str, seen: Seen) -> None:
    """The router's opinion of each server, 20 times a second."""
    last: dict[str, str] = {}
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{stats}/stats;csv") as answer:
                lines = (await answer.text()).splitlines()
            at = {name: n for n, name in enumerate(lines[0].lstrip("# ").split(","))}
            for line in lines[1:]:
                cells = line.split(",")
                if cells[at["svname"]] == "BACKEND":
                    seen.sent_again = cells[at["wretr"]]
                name, state = cells[at["svname"]], cells[at["status"]].split()[0]
                if cells[at["pxname"]] == "replicas" and last.get(name) != state:
                    last[name] = state
                    seen.states.append((seen.now(), name, state))
        await asyncio.sleep(0.05)


def act(seen: Seen, what: str, name: str, project: str) -> None:
    target = container(project, name)
    if what in ("stop", "pause"):  # a start would set the count to zero
        restarts = docker("inspect", "-f", "{{.RestartCount}}", target)
        seen.states.append((seen.now(), name, f"restarted {restarts} times by the policy"))
    seen.states.append((seen.now(), name, f"<- {what}"))
    if what in ("start", "pause", "unpause"):
        docker(what, target)
    elif what == "stop":
        docker("stop", "-t", "20", target)
        seen.states.append((seen.now(), name, "stopped"))
    else:
        crash(target, child=what == "SIGKILL its process")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", required=True)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--deadline", type=float, default=20)
    parser.add_argument("--url", default="http://127.0.0.1:17000")
    parser.add_argument("--stats", default="http://127.0.0.1:17003")
    parser.add_argument("--kills-only", action="store_true")
    parser.add_argument("--tokens", type=int, default=32)
    args = parser.parse_args()
    plan = [(0.1, "SIGKILL", "server-1"), (0.3, "SIGKILL its process", "server-2")]
    if not args.kills_only:
        plan += [(0.5, "stop", "server-1"), (0.6, "start", "server-1")]
        plan += [(0.75, "pause", "server-2"), (0.9, "unpause", "server-2")]
    timeout = aiohttp.ClientTimeout(total=args.deadline)
    pool = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=pool) as session:
        seen = Seen(time.monotonic(), args.tokens)
        watcher = asyncio.create_task(watch(session, args.stats, seen))
        actions = [
            asyncio.create_task(later(share * args.seconds, act, seen, what, name, args.project))
            for share, what, name in plan
        ]
        requests = []
        for n in range(int(args.rate * args.seconds)):
            await asyncio.sleep(max(0.0, n / args.rate - seen.now()))
            kind = KINDS[n % len(KINDS)]
            requests.append(asyncio.create_task(one(session, args.url, kind, seen)))
        await asyncio.gather(*requests, *actions)
        show(seen)
        if not args.kills_only:
            await nobody(session, args, seen)
        watcher.cancel()


async def later(delay: float, function: object, *arguments: object) -> None:
    await asyncio.sleep(delay)
    assert callable(function)
    await asyncio.to_thread(function, *arguments)


async def nobody(session: aiohttp.ClientSession, args: argparse.Namespace, seen: Seen) -> None:
    """Both replicas stopped: what is a client told, and how fast?"""
    both = ("server-1", "server-2")
    for name in both:
        await asyncio.to_thread(act, seen, "stop", name, args.project)
    started = seen.now()
    for _ in range(6):
        sent = seen.now()
        prompt = {"model": "qwen3", "prompt": "x", "max_tokens": 1}
        try:
            async with session.post(f"{args.url}/v1/completions", json=prompt) as answer:
                text = (await answer.text()).strip()
            said = f"{answer.status} {answer.content_type} {text}"
        except aiohttp.ClientError as error:
            said = type(error).__name__
        took = seen.now() - sent
        print(f"both stopped for {sent - started:4.1f} s: after {took:.3f} s {said}")
        await asyncio.sleep(0.5)
    for name in both:
        await asyncio.to_thread(act, seen, "start", name, args.project)


def show(seen: Seen) -> None:
    for when, name, state in sorted(seen.states):
        print(f"{when:7.2f} s  {name:9} {state}")
    for kind in sorted({kind for _, _, kind, _ in seen.answers}):
        mine = [answer for answer in seen.answers if answer[2] == kind]
        bad = [answer for answer in mine if answer[3] != "ok"]
        slowest = max(end - sent for sent, end, _, _ in mine)
        share = 100 * len(bad) / len(mine)
        print(f"{kind:13} {len(bad)}/{len(mine)} failed ({share:.2f} %), slowest {slowest:.2f} s")
        for sent, end, _, why in bad:
            print(f"    sent {sent:.2f} s, ended {end:.2f} s: {why}")
    print("answers by replica:", dict(seen.replicas))
    print("requests the router sent again, since its start:", seen.sent_again)


if __name__ == "__main__":
    asyncio.run(main())
