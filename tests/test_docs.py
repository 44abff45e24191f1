"""What the documentation points to is there: files, headings, commands and their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.reference import anchor
from typer.main import get_command

from vqchaos.checks import REGISTRY as CHECKS
from vqchaos.cli.app import app
from vqchaos.faults import REGISTRY as FAULTS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
GUIDES = [ROOT / "README.md", *sorted([DOCS / "tutorial.md", *DOCS.glob("howto/*.md")])]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def prose(page: Path) -> str:
    """Without what is quoted: code in fences and between backticks."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"(?m)^    .*$", "", text)


def anchors(page: Path) -> set[str]:
    """As GitHub gives them; the second heading of a name gets -1."""
    found: set[str] = set()
    for heading in re.findall(
        r"(?m)^#{1,6} (.+)$", FENCE.sub("", page.read_text(encoding="utf-8"))
    ):
        plain = anchor(LINK.sub(lambda m: m[0][1 : m[0].index("]")], heading))
        number = 0
        while (name := plain if not number else f"{plain}-{number}") in found:
            number += 1
        found.add(name)
    return found


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    out = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, part = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target == DOCS / "gameday.md" and "gameday" not in COMMANDS:
            continue  # the page comes with the command
        if not target.exists() or (part and part not in anchors(target)):
            out.append(link)
    return out


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, with `code`\n[a](#a-heading-with-code) [b](#other) [c](lost.md) "
        "[d](page.md#x) [e](https://example.org)\n```\n[f](quoted.md)\n```\n",
        encoding="utf-8",
    )
    assert broken(page) == ["#other", "lost.md", "page.md#x"]


def test_every_page_is_in_the_index() -> None:
    linked = {
        (DOCS / link.partition("#")[0]).resolve()
        for link in LINK.findall(prose(DOCS / "README.md"))
    }
    assert {page for page in PAGES[1:] if page not in linked} == {DOCS / "README.md"}


def commands_of(page: Path) -> list[list[str]]:
    """The words of each `vqchaos …` line in a fence, after the program's name."""
    lines = [
        line
        for kind, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if kind == "console"
        for line in text.replace("\\\n", " ").splitlines()
    ]
    found = [re.match(r"\$ (?:\S*/)?vqchaos (.+)", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_commands_are_what_there_is(page: Path) -> None:
    found = commands_of(page)
    assert found
    for words in found:
        if words[0].startswith("--"):
            continue
        parsed = COMMANDS[words[0]].make_context(words[0], words[1:])  # raises for a wrong option
        assert parsed.params is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_yaml_in_a_fence_names_what_there_is(page: Path) -> None:
    for kind, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind == "yaml":
            data = yaml.safe_load(text)
            data = data if isinstance(data, dict) else {}  # a pipeline's steps are a list
            for key, registry in (("faults", FAULTS), ("checks", CHECKS)):
                types = {item["type"] for item in data.get(key, [])}
                assert types <= set(registry)
