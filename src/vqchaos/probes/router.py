"""Which replicas the router sends requests to, by HAProxy's statistics."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping

from vqchaos.history.events import RouterReplica
from vqchaos.probes.protocols import Emit, Get, Now, Ticker
from vqchaos.text import one_line

INTERVAL = 0.25
_TIMEOUT = 2.0
_NUMBER = re.compile(r"[0-9]{1,6}$")
_SUMS = ("FRONTEND", "BACKEND")  # rows that are no server


def parse(page: str) -> dict[str, str]:
    """Server → its status, as HAProxy's CSV has them. Raises ValueError."""
    head, _, rest = page.partition("\n")
    names = head.removeprefix("# ").strip().split(",")
    if "svname" not in names or "status" not in names:
        raise ValueError("no statistics of HAProxy")
    name, status = names.index("svname"), names.index("status")
    found: dict[str, str] = {}
    try:
        for row in csv.reader(rest.splitlines(), strict=True):
            if len(row) > max(name, status) and row[name] not in _SUMS:
                found[one_line(row[name], 64)] = one_line(row[status], 40)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return found


def numbers(names: Iterable[str]) -> dict[str, int]:
    """Server → the number of its replica: the one that its name ends with, where all end with
    another one; else its place among them."""
    listed = list(names)
    ends = [int(found[0]) if (found := _NUMBER.search(name)) else 0 for name in listed]
    if 0 in ends or len(set(ends)) < len(ends):
        ends = list(range(1, len(listed) + 1))
    return dict(zip(listed, ends, strict=True))


def takes_requests(status: str) -> bool:
    """``UP``, also while checks begin to fail (``UP 1/3``), and a server without checks."""
    return status.startswith("UP") or status == "no check"


class RouterWatch:
    """Asks four times a second, never twice at once; writes only what changed."""

    def __init__(self, *, url: str, get: Get, emit: Emit, now: Now) -> None:
        self._url = url
        self._get = get
        self._emit = emit
        self._now = now
        self._known: dict[str, bool | None] = {}
        self._numbers: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        ticker = Ticker(INTERVAL)
        while True:
            await self.once()
            await ticker.tick()

    async def once(self) -> None:
        answer = await self._get(self._url, _TIMEOUT)
        error = answer.error or f"HTTP {answer.status}"
        if answer.status == 200:
            try:
                self._take(parse(answer.body.decode("utf-8", "replace")))
            except ValueError:
                error = "malformed"
            else:
                return
        for replica in self._known:
            self._say(replica, None, error)

    def _take(self, found: Mapping[str, str]) -> None:
        self._numbers |= numbers(found)
        for replica, status in found.items():
            self._say(replica, takes_requests(status), status)
        for replica in self._known.keys() - found.keys():
            self._say(replica, None, "the router names it no more")

    def _say(self, replica: str, up: bool | None, status: str) -> None:
        if replica not in self._known or self._known[replica] is not up:
            self._known[replica] = up
            number = self._numbers.get(replica)
            self._emit(
                RouterReplica(t=self._now(), replica=replica, up=up, status=status, number=number)
            )
