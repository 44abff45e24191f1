"""Locust asks for streams, in one of two ways (LOCUST_LOOP):

``throughput``: as its documentation does it, users with ``constant_throughput``; ``open``: an open
loop written by hand, a greenlet for each request when it is due, which is the best it can do. The
stream is read by ``readline``: its ``iter_lines`` waits for 1,024 bytes. Each request's times go to
LOCUST_OUT, a JSON object a line.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant_throughput, events, task

RATE = float(os.environ["LOCUST_RATE"])
SECONDS = float(os.environ["LOCUST_SECONDS"])
OPEN = os.environ["LOCUST_LOOP"] == "open"
FRESH = {"Connection": "close"} if os.environ["LOCUST_CONNECTIONS"] == "fresh" else {}
SEEN: list[dict[str, Any]] = []


def ask(client: Any) -> None:
    identity = str(uuid.uuid4())
    body = {"model": "m", "prompt": "Count from five on, please.", "max_tokens": 8, "stream": True}
    sent = time.monotonic()
    first = None
    with client.post(
        "/v1/completions",
        json=body,
        stream=True,
        catch_response=True,
        headers={"X-Request-Id": identity, **FRESH},
    ) as answer:
        while line := answer.stream.readline(b"\n"):
            if first is None and line.startswith(b"data: "):
                first = time.monotonic()
        answer.success()
    SEEN.append({"id": identity, "sent": sent, "first": first})


class Client(FastHttpUser):
    """One user of many, or the one that keeps the clock of an open loop."""

    connection_timeout = network_timeout = 30.0
    concurrency = 4000
    wait_time = constant_throughput(1)

    if OPEN:

        @task
        def keep_time(self) -> None:
            began = time.monotonic()
            for n in range(int(RATE * SECONDS)):
                gevent.sleep(max(0.0, began + n / RATE - time.monotonic()))
                gevent.spawn(ask, self.client)
            gevent.sleep(5)
            self.environment.runner.quit()

    else:

        @task
        def ask_once(self) -> None:
            ask(self.client)


@events.quitting.add_listener
def write(**_: Any) -> None:
    out = Path(os.environ["LOCUST_OUT"])
    out.write_text("".join(json.dumps(seen) + "\n" for seen in SEEN), encoding="utf-8")
