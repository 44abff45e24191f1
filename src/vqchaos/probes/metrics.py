"""vLLM's own metrics, the few that a run is judged by."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from vqchaos.history.events import MetricsProbe
from vqchaos.probes.protocols import Emit, Get, Now, Ticker

NAMES = (
    "iteration_tokens_total_count",
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "prompt_tokens_total",
    "generation_tokens_total",
    "num_preemptions_total",
    "corrupted_requests_total",
    "prefix_cache_queries_total",
    "prefix_cache_hits_total",
)
_TIMEOUT = 2.0
# The whole page takes the parser 9 ms, which would be seen in the load's own timing.
_LINES = re.compile(rf"^vllm:(?:{'|'.join(NAMES)})(?:\{{.*\}})? .*$", re.MULTILINE)


def parse(page: str) -> dict[str, float]:
    """Name without ``vllm:`` → value, summed over labels. Raises ValueError."""
    values: dict[str, float] = {}
    wanted = "\n".join(_LINES.findall(page)) + "\n"
    for family in text_string_to_metric_families(wanted):
        for sample in family.samples:
            name = sample.name.removeprefix("vllm:")
            values[name] = values.get(name, 0.0) + sample.value
    return values


class MetricsWatch:
    """A scrape each ``interval``, never two at once."""

    def __init__(self, *, url: str, interval: float, get: Get, emit: Emit, now: Now) -> None:
        self._url = url
        self._interval = interval
        self._get = get
        self._emit = emit
        self._now = now

    async def run(self) -> None:
        """Until cancelled."""
        ticker = Ticker(self._interval)
        while True:
            await self.once()
            await ticker.tick()

    async def once(self) -> None:
        answer = await self._get(self._url, _TIMEOUT)
        values: dict[str, float] = {}
        error = answer.error
        if answer.status == 200:
            try:
                values = parse(answer.body.decode("utf-8", "replace"))
            except ValueError:
                error = "malformed"
        elif answer.status is not None:
            error = f"HTTP {answer.status}"
        self._emit(MetricsProbe(t=self._now(), values=values, error=error))
