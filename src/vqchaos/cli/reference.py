"""``faults``, ``checks``, ``schema``: the catalogue, from the code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqchaos.cli.common import JSON_OPTION, add_command, console
from vqchaos.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from vqchaos.checks import Check

NAME = Annotated[str | None, typer.Argument(help="One of them, with all its settings.")]


def register(app: typer.Typer) -> None:
    add_command(app, faults)
    add_command(app, checks)
    add_command(app, schema)


def faults(name: NAME = None, as_json: bool = JSON_OPTION) -> None:
    """Without a name: the list. With one: what it does, what it needs and its settings."""
    from vqchaos.faults import PLANNED, REGISTRY

    if name is None:
        rows = [(cls.family, key, cls.summary) for key, cls in sorted(REGISTRY.items())]
        _list(rows, PLANNED, as_json)
        return
    cls = _pick(name, REGISTRY, PLANNED, "fault type")
    facts = {
        "family": cls.family,
        "what it does": cls.summary,
        "a good stack": cls.graceful,
        "kind": ("held until reverted" if cls.held else "instant")
        + (", acts on the next start of the server" if cls.startup else ""),
        "needs": ", ".join(f"{n} ({n.what})" for n in sorted(cls.needs)) or "nothing",
        "undo": cls.undo,
    }
    _detail(name, cls, facts, as_json)


def checks(name: NAME = None, as_json: bool = JSON_OPTION) -> None:
    """Without a name: the list. With one: what it judges and its settings."""
    from vqchaos.checks import PLANNED, REGISTRY

    if name is None:
        rows = [("", key, cls.summary) for key, cls in sorted(REGISTRY.items())]
        _list(rows, PLANNED, as_json)
        return
    cls = _pick(name, REGISTRY, PLANNED, "check")
    _detail(name, cls, _of_a_check(cls), as_json)


def _of_a_check(cls: type[Check]) -> dict[str, str]:
    return {
        "what it judges": cls.summary,
        "what it observes": cls.observes,
        "unit": " or ".join(unit or "in words" for unit in cls.units),
    }


def schema(
    kind: Annotated[str, typer.Argument(help="experiment, stack, gate or gameday")] = "experiment",
) -> None:
    """JSON Schema (draft 2020-12) on stdout. In an editor with the YAML language server, put
    `# yaml-language-server: $schema=experiment.schema.json` on top of a file."""
    from vqchaos.experiment.schema import schema_of

    print(json.dumps(schema_of(kind), indent=2, ensure_ascii=False))


def _pick(name: str, registry: Mapping[str, Any], planned: frozenset[str], what: str) -> Any:
    if name in registry:
        return registry[name]
    if name in planned:
        from vqchaos import __version__

        raise UsageError(f"{what} '{name}' is not in this version ({__version__})")
    import difflib

    near = difflib.get_close_matches(name, [*registry, *planned], n=1)
    raise UsageError(
        f"no {what} '{name}'",
        hint=f"did you mean '{near[0]}'?" if near else "without a name it lists them",
    )


def _list(rows: list[tuple[str, str, str]], planned: frozenset[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"family": f, "name": n, "summary": s} for f, n, s in rows]))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    family = None
    for row_family, name, text in sorted(rows):
        if row_family != family and row_family:
            table.add_row(f"[bold]{row_family}[/bold]", "")
        family = row_family
        table.add_row(("  " if row_family else "") + name, text)
    out = console()
    out.print(table)
    if planned:
        out.print(f"\nNot in this version: {', '.join(sorted(planned))}", markup=False)


def _detail(name: str, cls: type[BaseModel], facts: dict[str, str], as_json: bool) -> None:
    from vqchaos.experiment.schema import part_schema
    from vqchaos.experiment.settings import settings_of

    schema = part_schema(cls)
    settings = [
        {"name": s.key, "type": s.kind, "default": s.default, "description": s.meaning}
        for s in settings_of(schema, str.lower, cls)
        if s.key != "type"
    ]
    if as_json:
        print(json.dumps({"name": name, **facts, "settings": settings}))
        return
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(name, style="bold", markup=False)
    head = Table(box=None, pad_edge=False, show_header=False)
    for key, value in facts.items():
        head.add_row(key, value)
    out.print(head)
    table = Table("setting", "type", "default", "meaning", box=None, pad_edge=False)
    for item in settings:
        table.add_row(*map(Text, item.values()))
    out.print()
    out.print(table, markup=False)
