"""Columns for the events of which there are very many: a fraction of their memory as objects.

A table takes the values of an event's fields in the order of ``names`` and gives the event back by
its number. ``add`` takes all or, with a TypeError or ValueError, nothing.
"""

from __future__ import annotations

from array import array
from math import isfinite
from typing import Any, NamedTuple

from vqchaos.history.events import Event, HealthProbe, LagProbe, MetricsProbe, Request

_NEVER = float("nan")  # None in a column of moments
_NO_COUNT, _ODD = -1, -2  # in the column of counts
_ODDLY_MANY = 1 << 31
_MOST_KNOWN = (
    10_000  # different texts that are looked up; they are the target's, as many as it likes
)


class Table:
    """What all tables are. ``keys`` are the sets of values that repeat, ``key`` which one each
    event has."""

    names: tuple[str, ...]

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.key = array("I")
        self._known: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, number: int) -> Event:
        raise NotImplementedError

    def add(self, values: tuple[Any, ...]) -> None:
        raise NotImplementedError

    @property
    def times(self) -> array[float]:
        """``t`` of each."""
        raise NotImplementedError

    def _number(self, key: Any) -> int:
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self.keys)
            self.keys.append(key)
        return number


class Texts:
    """Texts one after the other, each as its bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("q")

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, text: str) -> None:
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __getitem__(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return self._bytes[start : self._ends[number]].decode("utf-8", "surrogatepass")


class Kind(NamedTuple):
    """What many requests have in common: nothing that may differ with each answer."""

    workload: str
    api: str
    stream: bool
    deadline: float
    outcome: str
    status: int | None
    finish_reason: str | None
    replica: str | None
    mixed: bool | None  # whether there was a sign of a second answer; None: not looked for


class Requests(Table):
    """``moments`` has a row of ``WIDTH`` a request: due, sent, first byte, first token, ended, NaN
    for never. The tokens of the n-th are ``tokens[starts[n]:starts[n + 1]]``."""

    names = (
        "t", "workload", "id", "api", "stream", "due", "sent", "first_byte", "first_token",
        "tokens", "ended", "deadline", "outcome", "status", "finish_reason", "completion_tokens",
        "detail", "excerpt", "replica", "mixed",
    )  # fmt: skip
    WIDTH = 5
    DUE, SENT, FIRST_BYTE, FIRST_TOKEN, ENDED = range(WIDTH)
    keys: list[Kind]

    def __init__(self) -> None:
        super().__init__()
        self.moments = array("d")
        self.tokens = array("d")
        self.starts = array("q", [0])
        self._ids = Texts()
        self._texts = Texts()  # detail and excerpt, in turn; equal pairs once
        self._said = array("I")  # the number of each one's pair
        self._pairs: dict[tuple[str, str], int] = {}
        self._counts = array("i")  # completion tokens, as ``_count`` has them
        self._odd: dict[int, int] = {}  # counts that are no count, or too large for the column
        self._mixed: dict[int, str] = {}  # the sign of a second answer, where there is one
        self._common: list[dict[str, Any]] = []  # each key, by the names of its values
        self._late: dict[int, float] = {}  # ``t``, where that is not when it ended

    def add(self, values: tuple[Any, ...]) -> None:
        (
            t, workload, id_, api, stream, due, sent, first_byte, first_token, tokens, ended,
            deadline, outcome, status, finish_reason, completion_tokens, detail, excerpt, replica,
            mixed,
        ) = values  # fmt: skip
        row = (
            due,
            _NEVER if sent is None else sent,
            _NEVER if first_byte is None else first_byte,
            _NEVER if first_token is None else first_token,
            ended,
        )
        moments, times = array("d", row), array("d", tokens)
        late = None if t == ended else array("d", (t,))[0]
        # Each value is looked at only where their sum is no number: that is far cheaper.
        whole = t + due + (sent or 0.0) + (first_byte or 0.0) + (first_token or 0.0) + ended
        if not isfinite(whole + deadline + sum(times)):
            _check_finite(self.names, values)
        count = _count(completion_tokens)
        if mixed is not None and not isinstance(mixed, str):
            raise TypeError("mixed must be text or null")
        # A plain tuple equals a Kind, and is made in a tenth of the time.
        key = (workload, api, stream, deadline, outcome, status, finish_reason, replica,
               None if mixed is None else mixed != "")  # fmt: skip
        number = self._known.get(key)
        if number is None:
            number = self._number(Kind(*key))
            common = self.keys[number]._asdict()
            self._common.append({**common, "mixed": None if mixed is None else ""})
        said = self._pairs.get((detail, excerpt))
        if said is None:
            said = self._pair(detail, excerpt)
        self._ids.add(id_)
        if late is not None:
            self._late[len(self.key)] = late
        if count == _ODD:
            self._odd[len(self.key)] = completion_tokens
        if mixed:
            self._mixed[len(self.key)] = mixed
        self._counts.append(count)
        self.moments += moments
        self.tokens += times
        self.starts.append(len(self.tokens))
        self._said.append(said)
        self.key.append(number)

    def _pair(self, detail: str, excerpt: str) -> int:
        number = len(self._texts) // 2
        if not (isinstance(detail, str) and isinstance(excerpt, str)):
            raise TypeError("detail and excerpt must be text")
        self._texts.add(detail)
        self._texts.add(excerpt)
        if len(self._pairs) < _MOST_KNOWN:
            self._pairs[detail, excerpt] = number
        return number

    @property
    def times(self) -> array[float]:
        out = self.moments[self.ENDED :: self.WIDTH]
        for number, t in self._late.items():
            out[number] = t
        return out

    def id(self, number: int) -> str:
        return self._ids[number]

    def __getitem__(self, number: int) -> Request:
        place = number * self.WIDTH
        due, *some, ended = self.moments[place : place + self.WIDTH]
        sent, first_byte, first_token = (None if m != m else m for m in some)  # noqa: PLR0124 - NaN
        said = 2 * self._said[number]
        count: int | None = self._counts[number]
        if count == _NO_COUNT:
            count = None
        elif count == _ODD:
            count = self._odd[number]
        common = self._common[self.key[number]]
        return Request(
            t=self._late.get(number, ended),
            id=self._ids[number],
            due=due,
            sent=sent,
            first_byte=first_byte,
            first_token=first_token,
            tokens=self.tokens[self.starts[number] : self.starts[number + 1]],
            ended=ended,
            detail=self._texts[said],
            excerpt=self._texts[said + 1],
            completion_tokens=count,
            **(common | {"mixed": self._mixed[number]} if number in self._mixed else common),
        )


def _check_finite(names: tuple[str, ...], values: tuple[Any, ...]) -> None:
    """Raises ValueError that says which moment, or number of seconds, is not finite."""
    for name, value in zip(names, values, strict=True):
        numbers = value if name == "tokens" else [value] if isinstance(value, float) else []
        for number in numbers:
            if not isfinite(number) and name != "completion_tokens":
                raise ValueError(f"{name} must be a finite number, not {number}")


def _count(completion_tokens: float | None) -> int:
    """What the column of counts holds for it. The target may say any number; one of more than 64
    bits comes as a float out of JSON."""
    if completion_tokens is None:
        return _NO_COUNT
    if isinstance(completion_tokens, int):
        return completion_tokens if 0 <= completion_tokens < _ODDLY_MANY else _ODD
    if isinstance(completion_tokens, float):
        return _ODD
    raise TypeError("completion_tokens must be a number or null")


class HealthProbes(Table):
    """``moments`` has two a probe: t and sent. A key is (status, error)."""

    names = ("t", "sent", "status", "error")
    keys: list[tuple[int | None, str]]

    def __init__(self) -> None:
        super().__init__()
        self.moments = array("d")

    def add(self, values: tuple[Any, ...]) -> None:
        moments, number = array("d", values[:2]), self._number(values[2:])
        self.moments += moments
        self.key.append(number)

    @property
    def times(self) -> array[float]:
        return self.moments[::2]

    def __getitem__(self, number: int) -> HealthProbe:
        t, sent = self.moments[2 * number : 2 * number + 2]
        status, error = self.keys[self.key[number]]
        return HealthProbe(t=t, sent=sent, status=status, error=error)


class LagProbes(Table):
    """All have one key. The samples of the n-th are ``samples[starts[n]:starts[n + 1]]``."""

    names = ("t", "samples")

    def __init__(self) -> None:
        super().__init__()
        self._t = array("d")
        self.samples = array("d")
        self.starts = array("q", [0])

    def add(self, values: tuple[Any, ...]) -> None:
        t, samples = array("d", values[:1]), array("d", values[1])
        self._t += t
        self.samples += samples
        self.starts.append(len(self.samples))
        self.key.append(self._number(None))

    @property
    def times(self) -> array[float]:
        return self._t

    def __getitem__(self, number: int) -> LagProbe:
        samples = self.samples[self.starts[number] : self.starts[number + 1]]
        return LagProbe(t=self._t[number], samples=samples)


class MetricsProbes(Table):
    """A key is (error, the values' names). The values of the n-th are ``values[starts[n]:…]``."""

    names = ("t", "values", "error")
    keys: list[tuple[str, tuple[str, ...]]]

    def __init__(self) -> None:
        super().__init__()
        self._t = array("d")
        self.values = array("d")
        self.starts = array("q", [0])

    def add(self, values: tuple[Any, ...]) -> None:
        t, found = array("d", values[:1]), array("d", values[1].values())
        number = self._number((values[2], tuple(values[1])))
        self._t += t
        self.values += found
        self.starts.append(len(self.values))
        self.key.append(number)

    @property
    def times(self) -> array[float]:
        return self._t

    def __getitem__(self, number: int) -> MetricsProbe:
        error, names = self.keys[self.key[number]]
        start = self.starts[number]
        values = dict(zip(names, self.values[start : start + len(names)], strict=True))
        return MetricsProbe(t=self._t[number], values=values, error=error)

    def series(self, *names: str) -> list[tuple[float, ...]]:
        """(t, the values of these names) of each scrape that has them all."""
        places = [
            [has.index(n) for n in names] if set(names) <= set(has) else None
            for _, has in self.keys
        ]
        out = []
        for t, key, start in zip(self._t, self.key, self.starts, strict=False):
            if (found := places[key]) is not None:
                out.append((t, *(self.values[start + place] for place in found)))
        return out
