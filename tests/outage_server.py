"""A server that goes away and comes back when told, and says at which monotonic second it did.

Kinds: ``refuse`` (nobody listens), ``reset``, ``hang``, ``500``, ``shed``, ``cut`` (see
``scripted_server``), ``late`` (the answer waits ``LATE`` seconds) and ``ok``: back.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field

from tests.scripted_server import Answer, ScriptedServer

KINDS = ("refuse", "reset", "hang", "500", "shed", "late", "cut")
LATE = 1.6


class _Answer(Answer):
    async def do(self, behaviour: str) -> None:
        if behaviour == "late":
            await asyncio.sleep(LATE)
            behaviour = "ok"
        await super().do(behaviour)


@dataclass
class OutageServer(ScriptedServer):
    """Use as a context manager; ``turn`` from any thread."""

    answers: type[Answer] = field(default_factory=lambda: _Answer)

    def turn(self, kind: str) -> float:
        """From now on this; returns the monotonic second from which it is so."""
        return asyncio.run_coroutine_threadsafe(self._turn(kind), self._loop).result(10)

    async def _turn(self, kind: str) -> float:
        if kind == "refuse":
            self._server.close()
            return time.monotonic()
        self.behaviour = kind
        if not self._server.is_serving():
            await self._listen()
        return time.monotonic()


def main() -> None:
    """``python -m tests.outage_server``: prints its port; answers each kind on standard input with
    the monotonic second."""
    server = OutageServer(gap=0.005)
    with server:
        print(server.port, flush=True)  # noqa: T201
        for line in sys.stdin:
            print(repr(server.turn(line.strip())), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
