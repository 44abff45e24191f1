"""Draws the README's picture: what `vqchaos demo` printed of one run and of the whole tour.

    .venv/bin/python tools/picture.py RUN_FOLDER SET_FOLDER OUT.svg

RUN_FOLDER and SET_FOLDER are what a demo left in runs/; nothing is drawn that is not in them.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from pathlib import Path

from rich.console import Console

from vqchaos.report.terminal import render_run, render_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(render_run(json.loads((options.run / "verdict.json").read_text())))
    summary = json.loads((options.set / "summary.json").read_text())
    verdicts = [
        json.loads((options.set.parent / run["dir"] / "verdict.json").read_text())
        for run in summary["runs"]
    ]
    console.print(render_set(summary, verdicts))
    svg = console.export_svg(title="vqchaos demo")
    # rich names web fonts and its own home: the picture shall need nothing from elsewhere.
    svg = re.sub(r"@font-face\s*{.*?}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "Fira Code, DejaVu Sans Mono, Menlo, monospace")
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).strip() + "\n"
    options.out.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
