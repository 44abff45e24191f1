"""``restarts``: how often the server was started again."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vqchaos.checks.base import Check, Result
from vqchaos.checks.wording import plural
from vqchaos.view import RunView


class Restarts(Check):
    """Server processes that started after the first injection. With it in an experiment, a
    start-up fault is under the restart policy instead of a single attempt."""

    summary: ClassVar[str] = "how often the server was started again after the first injection"
    observes: ClassVar[str] = "how many processes of the server started"
    units: ClassVar[tuple[str, ...]] = ("count",)

    type: Literal["restarts"] = "restarts"
    max: Annotated[int | None, Field(ge=0, description="More is a crash loop")] = None
    min: Annotated[int | None, Field(ge=0, description="Fewer: nobody brought it back")] = None

    @model_validator(mode="after")
    def _a_limit(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError("expected `max`, `min` or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError("`min` must not be above `max`")
        return self

    def describe(self) -> str:
        return f"{self._limit()} restarts of the server"

    def judge(self, run: RunView) -> Result:
        limit = self._limit()
        since = run.first_injection
        if since is None:
            return Result("unknown", "nothing was injected", None, limit, "count")
        if not run.server_starts:
            why = "no process of the server was ever seen: its restarts cannot be counted"
            return Result("unknown", why, None, limit, "count")
        starts = [s for s in run.server_starts if s.t >= since]
        count = len(starts)
        when = ", ".join(f"{s.t:.1f} s" for s in starts[:8]) + (" …" if count > 8 else "")
        text = f"{plural(count, 'restart')}" + (f" (at {when})" if starts else "")
        bad = (self.max is not None and count > self.max) or (
            self.min is not None and count < self.min
        )
        return Result("fail" if bad else "pass", f"{text}, limit {limit}", count, limit, "count")

    def _limit(self) -> str:
        parts = []
        if self.min is not None:
            parts.append(f"at least {self.min}")
        if self.max is not None:
            parts.append(f"at most {self.max}")
        return " and ".join(parts)
