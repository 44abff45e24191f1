"""What one request says: when it was sent, when it stalled, when its client knew of trouble."""

from __future__ import annotations

from vqchaos.history.events import Request


def sent_at(request: Request) -> float:
    """When it was sent; when it was due, if it never was."""
    return request.due if request.sent is None else request.sent


def order(request: Request) -> tuple[float, str]:
    """The order of sending; the id only makes it total."""
    return (sent_at(request), request.id)


def ttft(request: Request) -> float | None:
    """Seconds from sending to the first token (to the answer, if not streamed)."""
    return None if request.first_token is None else request.first_token - sent_at(request)


def stalled_at(request: Request, limit: float) -> float | None:
    """The moment at which it had been without a token for ``limit`` seconds, if there was one."""
    previous = sent_at(request)
    if request.ended - previous <= limit:
        return None
    for moment in request.tokens:
        if moment - previous > limit:
            return previous + limit
        previous = moment
    return previous + limit if request.ended - previous > limit else None


def trouble_at(request: Request, limit: float) -> float | None:
    """When its client first knew that something was wrong: a stall or a failure. None if neither.

    A request that vqchaos itself cancelled has not failed, but it may have stalled before.
    """
    stalled = stalled_at(request, limit)
    if request.outcome in ("ok", "cancelled"):
        return stalled
    return request.ended if stalled is None else min(stalled, request.ended)
