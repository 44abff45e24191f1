"""How long it takes to find what is wrong with a file: the tests' set of malformed experiments.

    PYTHONPATH=src:. python benchmarks/validation.py

CPU time in this process, the slowest ten first; what `vqchaos validate` needs to start comes on top
(benchmarks/startup.py).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.experiment.malformed import CASES

from vqchaos.errors import InvalidFile
from vqchaos.experiment.files import load_any


def main() -> None:
    taken: list[tuple[float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        for name, text, *_ in CASES:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            began = time.process_time()
            try:
                load_any(path)
            except InvalidFile:
                taken.append((time.process_time() - began, name))
            else:
                raise SystemExit(f"{name}: nothing was found wrong")
    for seconds, name in sorted(taken, reverse=True)[:10]:
        print(f"{seconds * 1000:8.1f} ms  {name}")
    print(f"{len(taken)} files, all told as invalid")


if __name__ == "__main__":
    main()
