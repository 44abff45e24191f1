"""A composite action's shell steps, run as GitHub's runner runs them: ``bash -eo pipefail`` with
the step's environment and the files behind GITHUB_OUTPUT, GITHUB_PATH and GITHUB_STEP_SUMMARY.

Steps that use other actions are passed over. Expressions are the few that ours has: one value
alone, ``always()``, and ``inputs.NAME == 'VALUE'``.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_VALUE = re.compile(r"^\$\{\{ ([a-z0-9_.-]+) \}\}$")
_EQUALS = re.compile(r"^inputs\.([a-z-]+) == '([^']*)'$")


@dataclass
class Runner:
    """A job of the action, in the folder ``place``; what lies in ``tools`` comes first on PATH."""

    action: Path
    place: Path
    tools: Path
    _values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec: dict[str, Any] = yaml.safe_load(self.action.read_text(encoding="utf-8"))
        self.temp, self.work = self.place / "temp", self.place / "work"
        for folder in (self.temp, self.work):
            folder.mkdir()
        self.path = [str(self.tools)]

    @property
    def summary(self) -> str:
        path = self.temp / "summary"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(self, **inputs: str) -> int:
        """The exit code of the first step that failed, as the job's end is told; else 0."""
        for name, said in self.spec["inputs"].items():
            self._values[f"inputs.{name}"] = inputs.pop(name, str(said.get("default", "")))
        assert not inputs, f"the action has no {', '.join(inputs)}"
        self._values["github.action_path"] = str(self.action.parent)
        failed = 0
        for step in self.spec["runs"]["steps"]:
            if "run" in step and self._wanted(step.get("if"), failed):
                code = self.start(step).wait()
                failed = failed or code
                self._keep(step)
        return failed

    def start(self, step: dict[str, Any]) -> subprocess.Popen[bytes]:
        """The step's process, started."""
        script = self.temp / "script.sh"
        script.write_text(step["run"], encoding="utf-8")
        env = {name: self.value(text) for name, text in step.get("env", {}).items()}
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.work,
            env={**os.environ, **self._github(), **env},
        )

    def outputs(self) -> dict[str, str]:
        return {name: self.value(said["value"]) for name, said in self.spec["outputs"].items()}

    def value(self, text: str) -> str:
        match = _VALUE.match(text)
        return self._values.get(match[1], "") if match else text

    def _wanted(self, condition: str | None, failed: int) -> bool:
        if condition == "always()":
            return True
        if condition is None:
            return not failed
        match = _EQUALS.match(condition)
        assert match, f"an `if` that this runner does not know: {condition}"
        return not failed and self._values[f"inputs.{match[1]}"] == match[2]

    def _github(self) -> dict[str, str]:
        path = self.temp / "path"
        more = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(self.temp / "output"),
            "GITHUB_PATH": str(path),
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "PATH": os.pathsep.join([*more[::-1], *self.path, os.environ["PATH"]]),
        }

    def _keep(self, step: dict[str, Any]) -> None:
        path = self.temp / "output"
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        while lines:
            name, many, end = lines.pop(0).partition("<<")
            if many:
                last = lines.index(end)
                value, lines = "\n".join(lines[:last]), lines[last + 1 :]
            else:
                name, _, value = name.partition("=")
            self._values[f"steps.{step['id']}.outputs.{name}"] = value
        path.unlink()
