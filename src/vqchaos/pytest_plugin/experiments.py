"""Experiment files as test items. Each runs `vqchaos run` in a process of its own, so that what it
does is what the command does, Ctrl-C and undo too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from vqchaos.errors import ExitCode, VqchaosError
from vqchaos.pytest_plugin.turns import Wanted, named, turn
from vqchaos.text import clean

PROGRAM = ["-m", "vqchaos"]
_FAULTS = re.compile(rb"^faults\s*:", re.MULTILINE)
_MARKS = {"pass": "ok", "fail": "FAIL", "unknown": "UNKNOWN"}


class ExperimentError(Exception):
    """An experiment that did not pass; its text is all that is shown of it."""


def is_experiment(path: Path) -> bool:
    """By its one required key, without reading it as YAML: what is wrong in it is told when it is
    run."""
    try:
        return _FAULTS.search(path.read_bytes()) is not None
    except OSError:
        return False


class ExperimentFile(pytest.File):
    """One file, one item."""

    def collect(self) -> Iterable[ExperimentItem]:
        item: ExperimentItem = ExperimentItem.from_parent(self, name=self.path.stem)
        item.add_marker(pytest.mark.chaos)
        yield item


class ExperimentItem(pytest.Item):
    """Passes if the exit code is 0; what the stack cannot do is skipped with its reason."""

    def runtest(self) -> None:
        wanted = Wanted.of(self)
        with turn(place_of(wanted)):
            code, out, err = self._run(wanted)
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        verdicts, summary = lines[:-1], lines[-1] if lines else {}
        for verdict in verdicts:
            folder = wanted.out / str(verdict["run"])
            self.user_properties.append(("vqchaos_run", str(folder)))
            self.add_report_section("call", "vqchaos", told(verdict, folder))
        if not verdicts and summary.get("skipped"):
            pytest.skip("; ".join(clean(each["reason"]) for each in summary["skipped"]))
        if code != ExitCode.PASS:
            last = clean(err).splitlines()[-12:]
            texts = [told(v, wanted.out / str(v["run"])) for v in verdicts]
            if all(v.get("exit_code") != code for v in verdicts):  # then no run is the reason
                texts.append("\n".join(last))
            raise ExperimentError(f"exit code {code}: {meaning(code)}\n" + "\n".join(texts))

    def _run(self, wanted: Wanted) -> tuple[int, str, str]:
        words = [sys.executable, *PROGRAM, "run", str(self.path), "--json"]
        words += ["--stack", wanted.stack, "--out", str(wanted.out)]
        words += ["--yes"] if wanted.yes else []
        words += [] if self.path.resolve() in named(self.config) else ["--skip"]
        for each in wanted.sets:
            words += ["--set", each]
        with subprocess.Popen(
            words,
            cwd=self.config.invocation_params.dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                out, err = process.communicate()
            except BaseException:  # Ctrl-C: the run reverts everything, and only then it is over
                process.terminate()
                process.communicate()
                raise
        return process.returncode, out, err

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> str | Any:
        if isinstance(excinfo.value, ExperimentError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"experiment: {self.name}"


def place_of(wanted: Wanted) -> str:
    """By which all names of one stack are the same; what cannot be opened tells its run."""
    from vqchaos.cli.common import open_named_stack  # noqa: PLC0415

    try:
        return str(open_named_stack(wanted.stack, [*wanted.sets]).state_dir)
    except VqchaosError:
        return wanted.stack


def told(verdict: dict[str, Any], folder: Path) -> str:
    """One run in a few lines: its checks, why it is void, where it lies."""
    lines = [f"{verdict['experiment']} on {verdict['stack']}: {verdict['verdict']}"]
    lines += [f"  void: {reason}" for reason in verdict["void_reasons"]]
    for check in verdict["checks"]:
        mark = _MARKS[check["verdict"]]
        lines.append(f"  {mark:<8}{check['name']}: {check['why']}")
    for item in verdict["leftovers"]:
        lines.append(f"  LEFT    {item['kind']} {item['name']}: {item['detail']}")
    return clean("\n".join([*lines, f"  {folder}"]))


def meaning(code: int) -> str:
    try:
        word = ExitCode(code).name.lower()
    except ValueError:
        return "interrupted" if code > 128 else "unknown"
    return f"{word}; run `vqchaos heal`" if code == ExitCode.UNCLEAN else word
