"""The pilot: a one-token request at a fixed interval. The truth that health is held against."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from vqchaos.history.events import PILOT
from vqchaos.probes.protocols import Ask, Emit, Now, Question, Ticker

PROMPT = "You may reproduce and distribute copies of the"
_FACTOR = 5.0
_LEARNING = 5.0  # while it learns, a pilot gets this many times its least deadline


def body(model: str) -> dict[str, object]:
    """One token, from a prompt that any model goes on from."""
    return {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0}


class Pilot:
    """Open loop: a pilot is sent when it is due, also while others are still waiting."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        interval: float,
        deadline: float,
        ask: Ask,
        emit: Emit,
        now: Now,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._base_url = base_url
        self._model = model
        self._interval = interval
        self._least = deadline
        self._ask = ask
        self._emit = emit
        self._now = now
        self._crashed = crashed
        self._answered: list[float] = []  # seconds each took, while learning
        self._deadline: float | None = None  # once learnt
        self._held = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def deadline(self) -> float:
        """Seconds the next pilot gets: the least, or 5 x the baseline's p95, the longer."""
        if self._deadline is not None:
            return self._deadline
        return max(_LEARNING * self._least, self._learnt())

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def baseline_over(self) -> None:
        """Stop learning; from now on the deadline stays."""
        if self._deadline is None:
            self._deadline = max(self._least, self._learnt())

    def hold(self) -> None:
        """Send none until ``release``: a quiet canary is on."""
        self._held = True

    def release(self) -> None:
        self._held = False

    async def quiet(self) -> None:
        """Returns when none is in flight."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def run(self) -> None:
        """Until cancelled."""
        ticker = Ticker(self._interval)
        while True:
            late = await ticker.tick()
            if not self._held:
                task = asyncio.create_task(self.once(self._now() - late))
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """End those in flight as ``cancelled``."""
        for task in list(self._tasks):
            task.cancel()
        await self.quiet()

    async def once(self, due: float) -> None:
        question = Question(
            workload=PILOT,
            api="completions",
            base_url=self._base_url,
            body=body(self._model),
            due=due,
            deadline=self.deadline,
        )
        request, _ = await self._ask(question)
        if request.outcome == "ok" and request.sent is not None and self._deadline is None:
            self._answered.append(request.ended - request.sent)
        self._emit(request)

    def _learnt(self) -> float:
        if not self._answered:
            return 0.0
        ordered = sorted(self._answered)
        return _FACTOR * ordered[math.ceil(0.95 * len(ordered)) - 1]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)
