"""How large report.html is and how long it takes to make and to open: an hour at 50 requests/s.

    PYTHONPATH=src:. python benchmarks/report_size.py

A made-up run of 180,000 requests with one outage of a minute. Opening is told by a headless
Chromium itself (CHROMIUM names the program; without one that line is left out): milliseconds from
the start of navigation to the drawn charts, five times.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.histories import World, experiment
from tests.report.html.pages import CHECKS

from vqchaos.judge import judge_view
from vqchaos.report.files import page
from vqchaos.report.html.page import _hash
from vqchaos.view import RunView

# After the charts' script: they are drawn, and the layout is asked for.
PROBE = (
    "const o=document.createElement('output');o.id='probe';void document.body.offsetHeight;"
    "o.textContent=performance.now()+' '+document.documentElement.dataset.ready;"
    "document.body.append(o)"
)


def world() -> World:
    made = World(
        warmup=(0.0, 10.0), baseline=(10.0, 600.0), fault_phase=(600.0, 700.0),
        recovery=(700.0, 3500.0), settle=(3500.0, 3600.0), rate=50.0,
    )  # fmt: skip
    made.inject(600.0).hang(595.0, 600.0).down(600.1, 660.0).restart(600.2, 640.0)
    return made.slow(660.0, 680.0, 4.0)


def opening(text: str) -> float | None:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        return None
    text = text.replace("script-src ", f"script-src {_hash(PROBE)} ", 1)
    text = text.replace("</body>", f"<script>{PROBE}</script></body>")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             f"--user-data-dir={folder}/profile", "--window-size=1280,900", "--timeout=5000",
             "--dump-dom", path.as_uri()],
            capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip
    found = re.search(r'id="probe">([\d.]+) yes<', done.stdout)
    return float(found[1]) if found else None


def main() -> None:
    made = experiment(checks=CHECKS)
    run = RunView(world().build(), made)
    began = time.perf_counter()
    verdict = judge_view(run, made).as_dict()
    judged = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        text = page(Path(folder), verdict, run)
    done = time.perf_counter()
    size, packed = len(text.encode()) / 1000, len(gzip.compress(text.encode())) / 1000
    print(f"requests       {len(run.select()):,}")
    print(f"report.html    {size:,.0f} kB, {packed:,.0f} kB gzipped")
    print(f"judged in      {judged - began:.1f} s")
    print(f"page made in   {done - judged:.1f} s")
    times = [t for _ in range(5) if (t := opening(text)) is not None]
    if times:
        print(f"opened in      {median(times):,.0f} ms, worst of {len(times)} {max(times):,.0f} ms")


if __name__ == "__main__":
    main()
