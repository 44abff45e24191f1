from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vqchaos.history.events import Event, MetricsProbe
from vqchaos.probes.metrics import MetricsWatch, parse

PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen3"} 2.0
vllm:num_requests_running{engine="1",model_name="a b } c"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 5.0
vllm:num_requests_waiting{engine="0"} 0.0
# TYPE vllm:num_preemptions counter
vllm:num_preemptions_total{engine="0"} 3.0
vllm:num_preemptions_created{engine="0"} 1.795487949780117e+09
vllm:iteration_tokens_total_bucket{engine="0",le="1.0"} 9.0
vllm:iteration_tokens_total_count{engine="0"} 1.4e+03
vllm:iteration_tokens_total_sum{engine="0"} 9.0
python_gc_objects_collected_total{generation="0"} 15092.0
"""


@dataclass
class Page:
    status: int | None
    body: bytes = b""
    error: str = ""


def scrape(page: Page) -> MetricsProbe:
    async def get(url: str, timeout: float) -> Page:
        assert (url, timeout) == ("http://x/metrics", 2.0)
        return page

    out: list[Event] = []
    watch = MetricsWatch(
        url="http://x/metrics", interval=1, get=get, emit=out.append, now=lambda: 1.5
    )
    asyncio.run(watch.once())
    assert isinstance(out[0], MetricsProbe)
    return out[0]


def test_the_families_of_interest_summed_over_labels() -> None:
    assert parse(PAGE) == {
        "num_requests_running": 3.0,
        "num_requests_waiting": 0.0,
        "num_preemptions_total": 3.0,
        "iteration_tokens_total_count": 1400.0,
    }


def test_a_scrape_and_its_failures() -> None:
    good = scrape(Page(200, PAGE.encode()))
    assert good.t == 1.5
    assert good.values["num_requests_running"] == 3.0
    assert good.error == ""
    assert scrape(Page(503)).error == "HTTP 503"
    assert scrape(Page(None, error="timeout")).error == "timeout"
    broken = scrape(Page(200, b"vllm:num_requests_running{a= 1.0\nvllm:num_requests_waiting x\n"))
    assert broken.error == "malformed"
    assert scrape(Page(200, b"<html>")).values == {}
