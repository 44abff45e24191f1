"""Is each outcome what the server did? 10,000 requests, behaviours at random.

    PYTHONPATH=src:. python benchmarks/classification.py [REQUESTS] [SEED]

The observer's real process sends; `tests/truth_server.py`, in its own process, does a random one
of its behaviours to each request, the pilot's too, and keeps what it did. Afterwards both are held
against each other by request id: a table of truth against outcome, and every request that differs.
`refused` comes from a bound port that nobody listens on, a name that does not exist and TLS to a
server without it; `cancelled` from the end of the run; `corrupted` is the canary's, counted apart.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter

from tests.truth_server import truth

from vqchaos.history.events import PILOT, CanaryProbe, Event, Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints

RATE = 18.0  # of each of the four forms; 12 tokens, so that `slow` lasts 6 s
DEADLINE = "4s"
FORMS = {
    f"{api}-{'stream' if stream else 'whole'}": (api, stream)
    for api in ("completions", "chat")
    for stream in (True, False)
}


def main(count: int, seed: int) -> int:
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.truth_server", str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdin is not None
    port = int(server.stdout.readline())
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{port}"
    named = {
        "closed": f"http://127.0.0.1:{closed.getsockname()[1]}",
        "nowhere": "http://vqchaos.invalid",
        "tls": f"https://127.0.0.1:{port}",
    }
    workloads = {
        name: Workload.model_validate(
            {"api": api, "stream": stream, "rate": RATE, "max_tokens": 12, "deadline": DEADLINE}
        )
        for name, (api, stream) in FORMS.items()
    }
    for name in named:
        workloads[name] = Workload(rate=2, endpoint=name, max_tokens=6)
    events: list[Event] = []
    origin = time.monotonic()
    config = ObserverConfig(
        origin=origin,
        endpoints=Endpoints(url, url, url, url + "/metrics", "m", named=named),
        workloads=workloads,
        settings=ObserverSettings(),
        seed=seed,
    )
    link = ObserverLink(config, events.append)
    link.start()
    link.baseline_over()  # pilots get their usual deadline
    link.start_load()
    while sum(isinstance(e, Request) and e.workload in FORMS for e in list(events)) < count:
        time.sleep(0.2)
    assert link.drain(60)
    for mode in ("garbage", "nan", "ok", "wrong-id"):
        print(mode, file=server.stdin, flush=True)
        time.sleep(0.3)
        link.canary(mode, 60)
    print("hang", file=server.stdin, flush=True)
    time.sleep(0.3)
    stopped_from = time.monotonic() - origin
    link.resume()
    time.sleep(1.0)
    link.stop()
    out, _ = server.communicate()
    deeds = {deed["id"]: deed for deed in map(json.loads, out.splitlines())}
    return compare(events, deeds, stopped_from, origin)


def compare(
    events: list[Event], deeds: dict[str, dict[str, object]], stopped: float, origin: float
) -> int:
    table: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    done: Counter[str] = Counter()
    unknown = late = 0
    for event in events:
        if not isinstance(event, Request) or event.workload == "canary":
            continue
        deed = deeds.get(event.id)
        if event.workload in FORMS or event.workload == PILOT:
            if deed is None:
                # Only one that was cancelled may never have reached the server.
                unknown += event.outcome != "cancelled"
                continue
            expected = truth(str(deed["did"]), stream=event.stream)
            over = deed["over"]
            if event.sent is not None and isinstance(over, float):
                gone = over - float(str(deed["received"]))
                early = event.ended >= stopped and gone < event.deadline - 0.2
                if expected == "hung" and early:
                    expected = "cancelled"  # the client left before the deadline: we stopped it
                elif expected != "hung" and over - origin > event.sent + event.deadline:
                    # On a loaded machine: it did this after the client had given up.
                    expected, late = "hung", late + 1
            done[f"{deed['did']}{'' if event.stream else ' (whole)'}"] += 1
        else:
            expected = "refused" if deed is None else "reached the server"
            if event.outcome == "cancelled":
                continue  # a name that was still being looked up
        table[expected, event.outcome] += 1
        if expected != event.outcome:
            wrong.append(
                f"{event.workload} {deed and deed['did']}: {event.outcome}: {event.detail}"
            )
    ended = {e.id for e in events if isinstance(e, Request)}
    lost = [deed for deed in deeds.values() if deed["id"] not in ended and deed["id"]]
    print("\nwhat the server did -> outcome: requests")
    for (expected, outcome), number in sorted(table.items()):
        print(
            f"  {expected:13} -> {outcome:13} {number:6}{'' if expected == outcome else '  WRONG'}"
        )
    print(f"behaviours: {len(done)}, the rarest {min(done.values())} times")
    for probe in events:
        if isinstance(probe, CanaryProbe):
            print(f"canary, server did {probe.moment}: {probe.name} {probe.outcome}")
    print(
        f"requests {sum(table.values())}, misclassified {len(wrong)}, "
        f"ended but unknown to the server {unknown}, known to it but not ended {len(lost)}, "
        f"done by the server after the deadline (so hung) {late}"
    )
    for line in wrong[:20]:
        print(" ", line)
    return 1 if wrong or unknown or lost else 0


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(main(*[*numbers, *(10_000, 1)[len(numbers) :]]))
