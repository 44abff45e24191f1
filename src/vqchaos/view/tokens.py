"""The moments of all tokens of a run: tens of millions of them in a few hours."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from vqchaos.history.events import Request
from vqchaos.view.requests import sent_at

_AT_ONCE = 100_000


def token_moments(requests: Iterable[Request]) -> array[float]:
    """In order of time, of requests in order of sending. None comes before its request was sent:
    so what lies before the latest sending is complete, and is sorted piece by piece."""
    out, waiting = array("d"), list[float]()
    for request in requests:
        if len(waiting) >= _AT_ONCE:
            waiting.sort()
            done = bisect_left(waiting, sent_at(request))
            out.extend(waiting[:done])
            del waiting[:done]
        if request.tokens:
            waiting.extend(request.tokens)
        elif request.first_token is not None:
            waiting.append(request.first_token)
    out.extend(sorted(waiting))
    return out
