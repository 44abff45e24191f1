"""Each load generator: how it is started at a rate, and what it says of each request."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from vqchaos.history.events import Event, Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints

PROMPT = "Count from five on, please."
MODEL = Path(__file__).resolve().parents[2] / "src" / "vqchaos" / "data" / "demo-model"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Told:
    """What a tool says of its run. ``ttft``: seconds by request id; ``lag``: sent after due, in
    seconds, where the tool tells both."""

    ttft: dict[str, float]
    lag: list[float]


@dataclass(frozen=True)
class Tool:
    """``run(url, rate, seconds, watch)``; ``watch`` is called with the PID of what to measure."""

    name: str
    run: Callable[[str, float, float, Callable[[int], None]], Told]


def vqchaos(connections: Literal["fresh", "reuse"]) -> Tool:
    """Its observer, with all its probes, as in a run."""

    def run(url: str, rate: float, seconds: float, watch: Callable[[int], None]) -> Told:
        return observe(url, rate, seconds, watch, connections)

    return Tool(f"vqchaos, {connections}", run)


def observe(
    url: str,
    rate: float,
    seconds: float,
    watch: Callable[[int], None],
    connections: Literal["fresh", "reuse"],
) -> Told:
    events: list[Event] = []
    clients = Workload(rate=rate, arrivals="constant", max_tokens=8, connections=connections)
    config = ObserverConfig(
        origin=time.monotonic(),
        endpoints=Endpoints(url, url, url, url, "m"),
        workloads={"clients": clients},
        settings=ObserverSettings(),
        seed=1,
    )
    link = ObserverLink(config, events.append)
    link.start()
    assert link._process is not None  # noqa: SLF001
    watch(link._process.pid)  # noqa: SLF001
    link.start_load()
    time.sleep(seconds)
    link.drain(5)
    link.stop()
    asked = [e for e in events if isinstance(e, Request) and e.workload == "clients"]
    good = [e for e in asked if e.sent is not None and e.first_token is not None]
    return Told(
        {e.id: e.first_token - e.sent for e in good},  # type: ignore[operator] # not None: above
        [e.sent - e.due for e in asked if e.sent is not None],
    )


def locust(binary: Path, loop: str, connections: str = "reuse") -> Tool:
    """``loop``: throughput or open, see ``locustfile``. It keeps connections unless told."""

    def run(url: str, rate: float, seconds: float, watch: Callable[[int], None]) -> Told:
        users = 1 if loop == "open" else max(1, round(rate))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "seen"
            env = {
                "LOCUST_RATE": str(rate),
                "LOCUST_SECONDS": str(seconds),
                "LOCUST_LOOP": loop,
                "LOCUST_CONNECTIONS": connections,
                "LOCUST_OUT": str(out),
            }
            words = [str(binary), "-f", str(HERE / "locustfile.py"), "--headless", "-H", url]
            words += ["-u", str(users), "-r", str(users), "--only-summary"]
            if loop == "throughput":
                words += ["-t", f"{seconds:.0f}s"]
            start(words, env, watch, seconds)
            seen = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        return Told({s["id"]: s["first"] - s["sent"] for s in seen if s["first"]}, [])

    return Tool(f"Locust {loop}, {connections}", run)


def aiperf(binary: Path, connections: str = "reuse") -> Tool:
    """It keeps connections unless told."""

    def run(url: str, rate: float, seconds: float, watch: Callable[[int], None]) -> Told:
        with tempfile.TemporaryDirectory() as folder:
            prompts = Path(folder) / "prompts.jsonl"
            prompts.write_text(json.dumps({"text": PROMPT}) + "\n", encoding="utf-8")
            words = [str(binary), "profile", "-m", "m", "-u", url, "--streaming"]
            words += ["--endpoint-type", "completions", "--use-server-token-count"]
            words += ["--tokenizer", "local/tok", "--input-file", str(prompts)]
            words += ["--custom-dataset-type", "single_turn", "--request-rate", str(rate)]
            words += ["--arrival-pattern", "constant", "--benchmark-duration", str(seconds)]
            words += ["--extra-inputs", "max_tokens:8", "--output-artifact-dir", folder]
            words += ["--connection-reuse-strategy"]
            words += ["pooled" if connections == "reuse" else "never"]
            words += ["--ui", "none", "--no-gpu-telemetry", "--no-server-metrics"]
            env = {"HF_HOME": str(hub(Path(folder))), "HF_HUB_OFFLINE": "1"}
            said = start(words, env, watch, seconds)
            export = Path(folder) / "profile_export.jsonl"
            if not export.exists():
                raise RuntimeError(f"aiperf wrote no records: {said[-2000:]}")
            lines = export.read_text(encoding="utf-8").splitlines()
        ttft, lag = {}, []
        for record in map(json.loads, lines):
            about, found = record["metadata"], record["metrics"].get("time_to_first_token")
            if about["benchmark_phase"] != "profiling" or found is None:
                continue
            ttft[about["x_request_id"]] = found["value"] / 1000
            lag.append((about["request_start_ns"] - about["credit_issued_ns"]) / 1e9)
        return Told(ttft, lag)

    return Tool(f"aiperf, {connections}", run)


def hub(folder: Path) -> Path:
    """A cache of a model hub with our tokenizer in it, because aiperf takes no path offline."""
    home, revision = folder / "hf", "a" * 40
    model = home / "hub" / "models--local--tok"
    (model / "snapshots" / revision).mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (model / "snapshots" / revision / name).write_bytes((MODEL / name).read_bytes())
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(revision, encoding="utf-8")
    return home


def start(
    words: list[str], env: dict[str, str], watch: Callable[[int], None], seconds: float
) -> str:
    """Run it to its end; what it said. Raises RuntimeError with its last words if it fails."""
    with subprocess.Popen(
        words,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watch(process.pid)
        try:
            said, _ = process.communicate(timeout=seconds + 120)
        except subprocess.TimeoutExpired:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                child.kill()
            raise RuntimeError(f"{words[0]} did not end") from None
    if process.returncode not in (0, 1):  # Locust: 1 where a request failed
        raise RuntimeError(f"{words[0]} ended with {process.returncode}:\n{said[-2000:]}")
    return said
