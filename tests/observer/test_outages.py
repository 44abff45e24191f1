"""One outage of each kind through the whole pipeline: the order of the moments, no lengths."""

from __future__ import annotations

import time

import pytest

from tests.observer.conftest import Seen
from tests.outage_server import KINDS, LATE
from tests.outages import Server, judged
from vqchaos.clock import RealClock, wait_until
from vqchaos.history.events import Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints


@pytest.mark.parametrize("kind", KINDS)
def test_the_moments_lie_where_the_server_was_away(kind: str, seen: Seen) -> None:
    server = Server()
    try:
        url = f"http://127.0.0.1:{int(server.line())}"
        load = {"rate": 40, "arrivals": "constant", "max_tokens": 6, "deadline": "3s"}
        config = ObserverConfig(
            origin=time.monotonic(),
            endpoints=Endpoints(url, url, url, url + "/metrics", "m"),
            workloads={"clients": Workload.model_validate(load)},
            settings=ObserverSettings.model_validate({"pilot_interval": "50ms"}),
            seed=1,
            canary=False,
        )
        clients = {"workload": "clients"}

        def good_after(moment: float) -> list[Request]:
            return [
                r
                for r in seen.of(Request, outcome="ok", **clients)
                if r.sent > moment and r.first_token - r.sent < 0.5
            ]

        def hurt_after(moment: float) -> bool:
            return any(
                r.outcome != "ok" or r.ended - r.sent > LATE
                for r in seen.of(Request, **clients)
                if r.sent > moment
            )

        with ObserverLink(config, seen) as link:
            link.start_load()
            first = seen.wait(Request, 25, outcome="ok", **clients)[0]
            baseline = (first.sent, time.monotonic() - config.origin)
            link.baseline_over()
            away = server.turn(kind) - config.origin
            assert wait_until(lambda: hurt_after(away), 20, RealClock(), every=0.02)
            back = server.turn("ok") - config.origin
            assert wait_until(lambda: len(good_after(back)) > 40, 40, RealClock(), every=0.02)
            until = time.monotonic() - config.origin
    finally:
        server.close()
    got = judged(seen.events, baseline, away, until, external=False)
    noticed = [t for t in (got.detected_at, got.probe_detected_at) if t is not None]
    assert away <= min(noticed) < until
    assert got.recovered_at is not None
    assert back <= got.recovered_at < until
