"""How long from the abort key of a game day to the stack as it was, by a witness of its own?

    PYTHONPATH=src:. python benchmarks/gameday_abort.py [--fault latency|process_pause]
        [--times 5] [--stack local | --cheap] [--picture FILE]

Drives the real command in a tmux pane of 80x24: confirms each step, waits until the fault is in
force, waits half a second to two more, sends `a`, and looks every 5 ms at the world itself: for
latency at Toxiproxy's list of toxics, for process_pause at the engine's state in /proc. The time is
from before `tmux send-keys` is started to the first look at a world without the fault; the start
of tmux itself is in it, and printed alone too. Beside it: what the session itself measured. The
stack is up already; `--cheap` makes one of a scripted server behind a real Toxiproxy. `--picture`
keeps what the pane shows in mid-fault.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.scripted_server import ScriptedServer

from vqchaos.cli.common import open_named_stack
from vqchaos.stack.local.toxiproxy_install import find_toxiproxy
from vqchaos.stack.protocols import Stack

ROOT = Path(__file__).resolve().parents[1]
EVERY = 0.005  # seconds between two looks
SET = [
    "phases.warmup=2s",
    "phases.baseline=8s",
    "phases.fault=2m",
    "phases.recovery=30s",
    "canary.enabled=false",
]
PATIENCE = 120.0
API, LISTEN = 31010, 31011


class Lines:
    def step(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")

    detail = step


class Pane:
    """A tmux server of its own, with one pane."""

    def __init__(self, command: list[str]) -> None:
        self._tmux = ["tmux", "-L", f"vqchaos-{os.getpid()}", "-f", "/dev/null"]
        words = " ".join(shlex.quote(word) for word in command)
        keep = f"{words}; echo ENDED with $?; sleep 600"
        self._do(
            "new-session", "-d", "-s", "day", "-x", "80", "-y", "24", f"sh -c {shlex.quote(keep)}"
        )

    def _do(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def press(self, key: str) -> None:
        self._do("send-keys", "-t", "day", key)

    def shows(self) -> str:
        return self._do("capture-pane", "-p", "-t", "day")

    def until(self, words: str) -> None:
        wait(lambda: words in self.shows(), 0.05, words, self.shows)

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._do("kill-server")


def wait(condition: Callable[[], bool], every: float, what: str, shows: Callable[[], str]) -> float:
    """The moment at which it held."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"never: {what}\n{shows()}")
        time.sleep(every)
    return time.monotonic()


def witness(stack: Stack, fault: str) -> Callable[[], bool]:
    """Says whether the fault is in force, from the world alone."""
    if fault == "process_pause":
        return lambda: any(
            stack.processes.status(ref) == "stopped" for ref in stack.processes.find("engine")
        )
    [link] = stack.links()
    proxy = stack.proxy_called(link.name)
    return lambda: any(toxic.name.startswith("vqchaos.") for toxic in proxy.toxics())


@contextlib.contextmanager
def cheap(folder: Path) -> Iterator[str]:
    """The file of a stack of a scripted server behind a real Toxiproxy."""
    program = str(find_toxiproxy(Lines()))
    proxy = subprocess.Popen(
        [program, "-port", str(API)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with ScriptedServer() as server:
            data = {
                "name": "front",
                "listen": f"127.0.0.1:{LISTEN}",
                "upstream": f"127.0.0.1:{server.port}",
            }
            until = time.monotonic() + 10
            while True:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{API}/proxies",
                    data=json.dumps(data).encode(),
                    headers={"Content-Type": "application/json"},
                )
                try:
                    urllib.request.urlopen(request, timeout=2).close()
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)
            file = folder / "cheap.yaml"
            file.write_text(
                "version: 1\nname: cheap\nkind: attach\nenvironment: test\nmodel: qwen3\n"
                f"url: http://127.0.0.1:{LISTEN}\ndirect_url: {server.url}\n"
                f"proxy_api: http://127.0.0.1:{API}\nproxy_name: front\n"
            )
            yield str(file)
    finally:
        proxy.terminate()
        proxy.wait(10)


def measure(stack_name: str, options: argparse.Namespace, folder: Path) -> None:
    steps = [
        {
            "experiment": str(ROOT / "experiments" / f"{options.fault}.yaml"),
            "name": f"abort-{number}",
            "ask": "Is the abort key under somebody's finger?",
            "set": SET,
        }
        for number in range(1, options.times + 1)
    ]
    plan = folder / "plan.yaml"
    plan.write_text(json.dumps({"version": 1, "name": "aborts", "steps": steps}))
    in_force = witness(open_named_stack(stack_name), options.fault)
    out = folder / "runs"
    vqchaos = str(Path(sys.executable).with_name("vqchaos"))
    words = ["gameday", str(plan), "--stack", stack_name, "--out", str(out), "--operator", "bench"]
    pane = Pane([vqchaos, *words])
    rng = random.Random(7)
    seen, tmux = [], []
    try:
        for number in range(1, options.times + 1):
            pane.until(f"Step {number} of {options.times}")
            pane.press("Enter")
            wait(in_force, 0.02, "the fault in force", pane.shows)
            time.sleep(rng.uniform(0.5, 2.0))
            if number == 1 and options.picture:
                pane.press("d")
                time.sleep(6.0)
                Path(options.picture).write_text(pane.shows())
            assert in_force()
            began = time.monotonic()
            pane.press("a")
            tmux.append(time.monotonic() - began)
            seen.append(wait(lambda: not in_force(), EVERY, "reverted", pane.shows) - began)
            pane.until("nothing was judged")
            if number == 1 and options.picture:
                Path(options.picture + ".after").write_text(pane.shows())
            pane.press("Enter")
        pane.until("ENDED with 130")
    finally:
        pane.close()
    [minutes] = out.glob("*-gameday-*/minutes.jsonl")
    records = [json.loads(line) for line in minutes.read_text().splitlines()]
    own = [r["reverted_after"] for r in records if r["kind"] == "run.ended"]
    print(f"{options.fault} on {stack_name if not options.cheap else 'a scripted server'}")
    for name, values in (
        ("key to reverted, by the witness", seen),
        ("of that, sending the key (tmux)", tmux),
        ("by the session itself, proof and ledger included", own),
    ):
        print(
            f"  {name:<50} n {len(values)}, median {statistics.median(values) * 1000:.0f} ms, "
            f"worst {max(values) * 1000:.0f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fault", choices=("latency", "process_pause"), default="latency")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--stack", default="local")
    parser.add_argument("--cheap", action="store_true")
    parser.add_argument("--picture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.cheap:
            with cheap(folder) as file:
                measure(file, options, folder)
        else:
            measure(options.stack, options, folder)


if __name__ == "__main__":
    main()
