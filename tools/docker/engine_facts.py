"""Prints, a line each, what a container needs of this machine: NAME=VALUE. For images.sh.

``engine`` makes the managed environment if it is not there; ``toxiproxy`` brings Toxiproxy;
``python`` is for the stand-in: any interpreter will do. A second argument names the interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vqchaos.errors import VqchaosError
from vqchaos.stack.local.engine_env import EngineEnv, interpreter
from vqchaos.stack.local.model import demo_model_dir
from vqchaos.stack.local.toxiproxy_install import find_toxiproxy


class _Lines:
    def step(self, text: str) -> None:
        print(f"[docker] {text}", file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        pass


def base_python(python: str) -> tuple[Path, str]:
    """Where that interpreter's installation lies, and its version, ``3.11``."""
    code = "import sys; print(sys.base_prefix, '%d.%d' % sys.version_info[:2], sep='\\n')"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    prefix, version = done.stdout.split("\n")[:2]
    return Path(prefix).resolve(), version


def main() -> None:
    what = sys.argv[1]
    facts: dict[str, object] = {}
    if what == "toxiproxy":
        facts["TOXIPROXY"] = find_toxiproxy(_Lines())
    else:
        named = sys.argv[2] if len(sys.argv) > 2 else None
        if what == "engine":
            environment = EngineEnv.default(named)
            python = str(environment.make(_Lines()))
            facts["ENGINE"] = environment.folder
        else:
            python = os.path.realpath(interpreter(named)[0])
        prefix, version = base_python(python)
        facts |= {"PYTHON": python, "PREFIX": prefix, "VERSION": version, "MODEL": demo_model_dir()}
    for name, value in facts.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    try:
        main()
    except VqchaosError as error:
        print(f"[docker] error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"[docker]   {error.hint}", file=sys.stderr)
        sys.exit(3)
