"""docs/reference is what the code says, and the code says something of everything."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel
from tools import reference

from vqchaos.checks import REGISTRY as CHECKS
from vqchaos.cli.app import known_commands
from vqchaos.experiment.schema import KINDS, part_schema
from vqchaos.faults import REGISTRY as FAULTS

PAGES = reference.pages()


def test_the_pages_are_current() -> None:
    assert not reference.stale(), reference.WAY_OUT


def test_a_page_that_says_something_else_is_found(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    assert reference.main(["--check"]) == 1
    assert reference.WAY_OUT in capsys.readouterr().out
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("faults.md", list(FAULTS)),
        ("checks.md", list(CHECKS)),
        ("cli.md", [f"vqchaos {name}" for name in known_commands()]),
        ("files.md", list(KINDS)),
    ],
)
def test_everything_has_a_section(page: str, names: list[str]) -> None:
    assert set(names) <= set(re.findall(r"^## (.+)$", PAGES[page], re.MULTILINE))


def test_two_parts_of_one_key_are_told_apart() -> None:
    class Pause(BaseModel):
        pause: str

    class Act(BaseModel):
        experiment: str

    class Plan(BaseModel):
        steps: list[Act | Pause]

    text = "\n".join(reference._part("plan", part_schema(Plan)))
    assert "### plan: steps\n" in text
    assert "list of [steps](#plan-steps) or [Pause](#plan-steps-pause)" in text
    assert "### plan: steps Pause\n" in text


@pytest.mark.parametrize("page", PAGES)
def test_every_key_and_option_says_what_it_means(page: str) -> None:
    """A row without a meaning wants a `Field(description=…)` or a `help=`."""
    rows = re.findall(r"^\| `.*\|$", PAGES[page], re.MULTILINE)
    assert rows
    dumb = [row for row in rows if re.search(r"\|\s*\|$", row) and not row.startswith("| `type`")]
    assert not dumb


def test_every_fault_that_an_experiment_ships_for_names_it() -> None:
    section = PAGES["faults.md"].partition("## process_kill\n")[2]
    assert "[process_kill](../../experiments/process_kill.yaml)" in section.partition("\n## ")[0]
