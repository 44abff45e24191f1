"""The canary: questions with known answers, one at a time; in quiet, or while the load runs."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence

from vqchaos.history.events import CANARY, LOADED, CanaryProbe
from vqchaos.probes.fingerprint import compare, compare_loaded, garbage
from vqchaos.probes.golden import Canary, GoldenAnswer, fingerprint_of
from vqchaos.probes.protocols import Ask, Emit, Now, Question

# vLLM answers NaN log-probabilities with a 400 that blames the JSON.
_NOT_FINITE = re.compile(r"out of range float|not JSON compliant", re.IGNORECASE)
_NO_NUMBER = -1e9


class CanaryProbes:
    """Asks each canary once. The caller makes sure that it is quiet, but at the moment ``load``:
    there answers are compared as load allows."""

    def __init__(
        self,
        canaries: Sequence[Canary],
        *,
        model: str,
        deadline: float,
        ask: Ask,
        emit: Emit,
        now: Now,
    ) -> None:
        self._canaries = canaries
        self._model = model
        self._deadline = deadline
        self._ask = ask
        self._emit = emit
        self._now = now

    async def run(self, moment: str, base_url: str) -> bool:
        """True if every canary was answered, without garbage and as its golden answer says."""
        good = True
        for canary in self._canaries:
            good = await self._one(canary, moment, base_url) and good
        return good

    async def _one(self, canary: Canary, moment: str, base_url: str) -> bool:
        sent = self._now()
        question = Question(
            workload=CANARY,
            api=canary.api,
            base_url=base_url,
            body=canary.body(self._model),
            due=sent,
            deadline=self._deadline,
        )
        request, answer = await self._ask(question)
        seen = fingerprint_of(answer, canary.api)
        outcome, detail, found = request.outcome, request.detail, []
        if outcome == "ok":
            found = garbage(seen)
        elif request.status == 400 and _NOT_FINITE.search(detail):
            found = ["log-probabilities that are not finite (HTTP 400)"]
        golden = canary if isinstance(canary, GoldenAnswer) else None
        difference = ""
        if outcome == "ok" and golden is not None:
            judge = compare_loaded if moment == LOADED else compare
            found_other = judge(golden.fingerprint, seen)
            difference = "" if found_other.kind in ("same", "unjudged") else found_other.why
        if found or difference:
            outcome, detail = "corrupted", "; ".join([*found, *([difference] * bool(difference))])
        self._emit(request)
        if request.outcome == "cancelled":
            raise asyncio.CancelledError
        self._emit(
            CanaryProbe(
                t=self._now(),
                moment=moment,
                name=canary.name,
                api=canary.api,
                sent=sent,
                outcome=outcome,
                detail=detail,
                text=seen.text[:4096],
                tokens=list(seen.tokens),
                # JSON has no NaN; ``garbage`` says that there was one.
                logprobs=[v if math.isfinite(v) else _NO_NUMBER for v in seen.logprobs],
                expected_text=golden.text if golden else None,
                expected_tokens=list(golden.tokens) if golden else None,
                expected_logprobs=list(golden.logprobs) if golden else None,
                garbage=found,
            )
        )
        return outcome == "ok"
