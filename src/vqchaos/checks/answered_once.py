"""``answered_once``: no stream holds parts of two answers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.checks.base import Check, Phase, Result
from vqchaos.checks.wording import plural, where
from vqchaos.view import RunView


class AnsweredOnce(Check):
    """A router that sends a request again after its first byte mixes two answers. Signs of that in
    a stream: another id, a second [DONE] or finish reason, text or events after those."""

    summary: ClassVar[str] = "no stream holds parts of two answers"
    observes: ClassVar[str] = "how many streams held parts of two answers"
    units: ClassVar[tuple[str, ...]] = ("count",)

    type: Literal["answered_once"] = "answered_once"
    phase: Phase | Literal["all"] = Field(default="all", description="all: the whole run")
    workload: str | None = Field(default=None, description="null: all of them together")

    def describe(self) -> str:
        return f"in {where(self.phase, self.workload)} no stream of two answers"

    def requests_needed(self) -> int:
        return 1

    def judge(self, run: RunView) -> Result:
        place = where(self.phase, self.workload)
        found = run.select(self.phase, self.workload)
        streams = found.where(lambda kind: kind.mixed is not None)
        if not streams:
            why = f"no stream in {place} was looked at for this"
            return Result("unknown", why, None, 0, "count")
        mixed = streams.where(lambda kind: bool(kind.mixed))
        total = plural(len(streams), "stream")
        first = mixed.first()
        if first is None:
            return Result("pass", f"{total} in {place}, each one answer", 0, 0, "count")
        why = (
            f"{len(mixed)} of {total} in {place} held parts of two answers; the first at "
            f"{first.ended:.1f} s: {first.mixed} ({first.id})"
        )
        return Result("fail", why, len(mixed), 0, "count")
