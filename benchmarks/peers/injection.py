"""From the intent to a fault that is proven in force: vqchaos, and Chaos Toolkit beside it.

    python -m benchmarks.peers.injection RUNS… [--chaos PATH] [--pumba PATH]

``RUNS`` are folders of saved runs (or folders of those): of each fault the time from its ledger
entry, which comes before everything else, to its injection and to the proof, by type, in ms. With
``--chaos`` (of an environment with chaostoolkit and chaostoolkit-toxiproxy), Chaos Toolkit adds
300 ms of latency twenty times to a real Toxiproxy; its action has no proof, so a probe follows
that reads the toxic back; both times are its journal's. With ``--pumba``, Pumba kills twenty
containers of the daemon at DOCKER_HOST: until Docker says that the container is dead, and until
Pumba's command is over (it proves nothing); its own start is in both.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import docker
from benchmarks.toxiproxy_removal import serve, toxiproxy
from tests.fakes import free_port

from vqchaos.history.events import FaultInjected, FaultRecorded, FaultVerified
from vqchaos.history.store import read

ROUNDS = 20


def histories(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(place.rglob("history.jsonl"))


def of_runs(places: Sequence[Path]) -> dict[str, list[tuple[float, float]]]:
    """By type: (to the injection, to the proof), seconds after the ledger entry."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in histories(places):
        recorded: dict[str, FaultRecorded] = {}
        injected: dict[str, float] = {}
        for event in read(path):
            if isinstance(event, FaultRecorded):
                recorded[event.fault] = event
            elif isinstance(event, FaultInjected):
                injected[event.fault] = event.t
            elif isinstance(event, FaultVerified) and event.fault in injected:
                entry = recorded[event.fault]
                began = entry.t
                found[entry.kind].append((injected[event.fault] - began, event.t - began))
    return found


def of_chaos(chaos: Path) -> list[tuple[float, float]]:
    """(to the end of the action, to the end of the probe), seconds after the action's start."""
    upstream = free_port()
    serve(upstream)
    found = []
    with toxiproxy(upstream) as (_, api, _), tempfile.TemporaryDirectory() as folder:
        for n in range(ROUNDS):
            file, journal = Path(folder) / "x.json", Path(folder) / f"{n}.json"
            file.write_text(json.dumps(experiment(api, f"late{n}")), encoding="utf-8")
            words = [str(chaos), "--no-version-check", "run", "--journal-path", str(journal)]
            subprocess.run([*words, str(file)], check=True, capture_output=True, cwd=folder)
            method = json.loads(journal.read_text(encoding="utf-8"))["run"]
            assert all(step["status"] == "succeeded" for step in method), method
            begun = moment(method[0]["start"])
            found.append((moment(method[0]["end"]) - begun, moment(method[1]["end"]) - begun))
    return found


def of_pumba(pumba: Path) -> list[tuple[float, float]]:
    """(to the container's end by Docker's word, to the end of the command), seconds after its
    start. Needs a static busybox."""
    client = docker.from_env()
    image = client.images.load(busybox_image())[0]
    found = []
    for n in range(ROUNDS):
        name = f"vqchaos-bench-{n}"
        container = client.containers.run(image, ["sleep", "600"], detach=True, name=name)
        try:
            began = time.time()
            subprocess.run(
                [str(pumba), "kill", "--signal", "SIGKILL", name], check=True, capture_output=True
            )
            over = time.time()
            container.wait(timeout=10)
            container.reload()
            dead = moment(container.attrs["State"]["FinishedAt"])
        finally:
            container.remove(force=True)
        found.append((dead - began, over - began))
    client.images.remove(image.id, force=True)
    return found


def busybox_image() -> bytes:
    """An image of busybox alone, as `docker save` writes it."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "apt-get install busybox-static"
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(busybox, "bin/sleep")
    data = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["vqchaos-bench:1"], "Layers": ["layer.tar"]}]
    image = io.BytesIO()
    files = {
        "layer.tar": data,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(fileobj=image, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return image.getvalue()


def experiment(api: int, toxic: str) -> dict[str, object]:
    action = {
        "type": "action",
        "name": "late",
        "provider": {
            "type": "python",
            "module": "chaostoxi.toxic.actions",
            "func": "create_latency_toxic",
            "arguments": {"for_proxy": "llm", "toxic_name": toxic, "latency": 300, "jitter": 0},
        },
    }
    url = f"http://127.0.0.1:{api}/proxies/llm/toxics/{toxic}"
    probe = {"type": "probe", "name": "there", "provider": {"type": "http", "url": url}}
    return {
        "title": "late",
        "description": "late",
        "configuration": {"toxiproxy_url": f"http://127.0.0.1:{api}"},
        "method": [action, probe],
    }


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def row(name: str, times: Sequence[tuple[float, float]]) -> str:
    first = statistics.median(a for a, _ in times) * 1000
    second = statistics.median(b for _, b in times) * 1000
    worst = max(b for _, b in times) * 1000
    return f"| {name} | {len(times)} | {first:.1f} | {second:.1f} | {worst:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--chaos", type=Path, help="the chaos command of Chaos Toolkit")
    parser.add_argument("--pumba", type=Path, help="the pumba command; needs Docker")
    options = parser.parse_args()
    print("| what | n | injected, median ms | proven, median ms | proven, worst ms |")
    print("|---|---|---|---|---|")
    for kind, times in sorted(of_runs(options.runs).items()):
        print(row(f"vqchaos, `{kind}`", times))
    if options.chaos is not None:
        print(row("Chaos Toolkit, latency toxic", of_chaos(options.chaos)))
    if options.pumba is not None:
        print(row("Pumba, kill (dead; command over)", of_pumba(options.pumba)))


if __name__ == "__main__":
    main()
