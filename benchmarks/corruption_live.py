"""Does a live vLLM agree with the offline sweep? Cells of docs/corruption.json, each on a server.

    .venv/bin/python benchmarks/corruption_live.py [--cells 20] [--port 18500] [--out FILE]

Draws cells of the sweep (seeded; half of them seen offline, half not), makes the very copy of the
model again, starts vLLM on it, asks the canaries by the observer process of a run and compares: was
it seen, and by which signals? The engine is the one that vqchaos installed. A cell takes the start
of a server. Exit code 1 if a cell was seen by one of the two only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import corruption_sweep as offline

from vqchaos.history.events import CanaryProbe, Event
from vqchaos.load.workload import ObserverSettings
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.probes.fingerprint import Fingerprint, compare
from vqchaos.stack.local.engine_env import EngineEnv
from vqchaos.stack.protocols import Endpoints

START = 300.0  # seconds that a server may take
ARGS = ["--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"]  # as stacks/local.yaml


def drawn(sweep: dict[str, Any], wanted: int, seed: int) -> list[tuple[int, int, int, str]]:
    """(bit, count, seed, signals) of the draws to confirm."""
    every = [
        (c["bit"], c["count"], offline.seed_of(sweep["seed"], c["bit"], c["count"], n), seen)
        for c in sweep["cells"]
        for n, seen in enumerate(c["draws"])
    ]
    draw = random.Random(seed)
    seen = draw.sample([one for one in every if one[3]], (wanted + 1) // 2)
    return seen + draw.sample([one for one in every if not one[3]], wanted // 2)


def serve(model: Path, port: int, scratch: Path) -> subprocess.Popen[bytes]:
    """A vLLM server in a group of its own; returns when it is healthy."""
    python = EngineEnv.default().engine_python
    words = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    words += ["--served-model-name", "qwen3"]
    words += ["--host", "127.0.0.1", "--port", str(port), *ARGS]
    env = {**os.environ, "TMPDIR": str(scratch), "VLLM_CPU_KVCACHE_SPACE": "1"}
    log = scratch / "vllm.log"
    with log.open("wb") as out:
        server = subprocess.Popen(words, stdout=out, stderr=out, env=env, start_new_session=True)
    limit = time.monotonic() + START
    while time.monotonic() < limit and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return server
        except OSError:
            time.sleep(0.5)
    end(server)
    tail = log.read_text(errors="replace")[-2000:]
    raise SystemExit(f"vLLM did not start:\n{tail}")


def end(server: subprocess.Popen[bytes]) -> None:
    """Its whole group: an API server that is killed alone leaves its engine behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def ask(port: int) -> str:
    """The letters of the signals, as the sweep has them."""
    probes: list[CanaryProbe] = []

    def keep(event: Event) -> None:
        if isinstance(event, CanaryProbe):
            probes.append(event)

    url = f"http://127.0.0.1:{port}"
    config = ObserverConfig(
        origin=time.monotonic(),
        endpoints=Endpoints(url, url, url, f"{url}/metrics", "qwen3"),
        workloads={},
        settings=ObserverSettings(),
        seed=1,
        golden=offline.GOLDEN,
    )
    with ObserverLink(config, keep) as observer:
        observer.canary("fault", timeout=120)
    found: set[str] = set()
    for probe in probes:
        if probe.garbage:
            found.add("garbage")
        if probe.outcome not in ("ok", "corrupted"):
            raise SystemExit(f"{probe.name} was not answered: {probe.outcome} {probe.detail}")
        expected = Fingerprint(
            probe.expected_text or "", probe.expected_tokens or (), probe.expected_logprobs or ()
        )
        kind = compare(expected, Fingerprint(probe.text, probe.tokens, probe.logprobs)).kind
        if kind != "same":
            found.add("tokens" if kind in ("tokens", "text") else "logprobs")
    if not probes:
        raise SystemExit("no canary was asked")
    return offline.letters(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=18500)
    parser.add_argument("--out", type=Path, help="a JSON file for the result")
    options = parser.parse_args()
    sweep = json.loads(offline.JSON.read_text(encoding="utf-8"))
    rows = []
    for bit, count, seed, expected in drawn(sweep, options.cells, options.seed):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="vqc") as folder:
            copy = offline.damaged(Path(folder), bit, count, seed)
            server = serve(copy, options.port, Path(folder))
            try:
                seen = ask(options.port)
            finally:
                end(server)
        agree = bool(seen) == bool(expected)
        row = {"bit": bit, "count": count, "seed": seed, "offline": expected, "live": seen}
        rows.append({**row, "agree": agree})
        print(
            f"bit {bit:2} ({offline.kind_of(bit, sweep['dtype'])}), {count} flipped: offline "
            f"{expected or '-'}, live {seen or '-'}: {'agree' if agree else 'DIFFER'} "
            f"({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    good = sum(row["agree"] for row in rows)
    print(f"{good} of {len(rows)} cells agree (t tokens, l log-probabilities, g garbage)")
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
