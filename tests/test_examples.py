"""The examples are what this version reads: files by its loader, command lines by its parser."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from vqchaos.cli.app import app
from vqchaos.experiment.files import load_gate

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PIPELINES = [EXAMPLES / "ci" / "gitlab-ci.yaml", EXAMPLES.parent / "action.yml"]


def test_the_gate() -> None:
    assert load_gate(EXAMPLES / "gate.yaml").name == "release"


def commands(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    lines = re.findall(r"(?:run: |- |^\s+)(vqchaos [^\n|]+)", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_the_pipelines_call_what_there_is(path: Path) -> None:
    found = commands(path)
    assert [words[0] for words in found] == ["validate", "up", "run", "heal", "down"]
    for words in found:
        said = CliRunner().invoke(app, [words[0], "--help"], terminal_width=200).output
        for option in (word for word in words if word.startswith("--")):
            assert option in said, f"{words[0]} has no {option}"
