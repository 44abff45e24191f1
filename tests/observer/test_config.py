from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import pytest

from vqchaos.errors import UsageError
from vqchaos.load.workload import ObserverSettings, TokenRange, Workload
from vqchaos.observer.config import Job, ObserverConfig, url_of
from vqchaos.stack.protocols import Endpoints, ProbeSources


def config(**ends: Any) -> ObserverConfig:
    base: dict[str, Any] = {
        "client_url": "http://a:1",
        "direct_url": "http://a:2",
        "health_url": "http://a:2/health",
        "metrics_url": "http://a:2/metrics",
        "model": "m",
        "headers": {"X": "hidden-value"},
    }
    return ObserverConfig(
        origin=time.monotonic(),
        endpoints=Endpoints(**{**base, **ends}),
        workloads={
            "a": Workload(),
            "b": Workload(api="chat", prompts=TokenRange(tokens="20..30"), body={"x": [1]}),
        },
        settings=ObserverSettings(),
        seed=1,
        sources=ProbeSources(events="/e"),
    )


@pytest.mark.parametrize("header", [None, "X-Replica"])
def test_a_job_survives_its_journey(header: str | None) -> None:
    job = config(replica_header=header).job()
    assert job.replica_header == header
    assert asdict(Job.loads(job.dumps())) == asdict(job)
    assert "\n" not in job.dumps()
    assert job.plans[1].prompt_tokens == "20..30"
    assert job.plans[0].url == "http://a:1"
    assert "hidden-value" not in repr(job)
    assert "hidden-value" not in repr(config())


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://a:2", "http://a:2/health"),
        ("http://a:2/", "http://a:2/health"),
        ("http://a:2/health", "http://a:2/health"),
        ("https://a/x/live", "https://a/x/live"),
    ],
)
def test_a_health_url_without_a_path_gets_the_usual_one(given: str, asked: str) -> None:
    assert config(health_url=given).job().health_url == asked


def test_a_workload_goes_where_clients_go_or_to_its_endpoint() -> None:
    ends = config(named={"two": "http://b:2", "one": "http://b:1"}).endpoints
    assert url_of("w", Workload(), ends) == "http://a:1"
    assert url_of("w", Workload(endpoint="two"), ends) == "http://b:2"
    with pytest.raises(UsageError, match=r"workload 'w': .* 'three'; there is one, two") as caught:
        url_of("w", Workload(endpoint="three"), ends)
    assert "endpoints: {NAME: URL}" in str(caught.value.hint)
    with pytest.raises(UsageError, match="'three'; it names none"):
        url_of("w", Workload(endpoint="three"), config().endpoints)
