"""Writes docs/reference from the code: ``python tools/reference.py``; ``--check`` only looks.

Whatever is said of a fault, a check, a command or a key comes from where it is defined: its
docstring, its facts and its ``Field(description=…)``. Here is only how a page is laid out.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from typer.main import get_command

from vqchaos import checks, errors, faults
from vqchaos.checks import Check
from vqchaos.cli.app import app
from vqchaos.cli.overview import EXIT_CODES, GROUPS
from vqchaos.experiment.files import KINDS as FILE_KINDS
from vqchaos.experiment.files import find_experiments, load_experiment
from vqchaos.experiment.schema import KINDS, part_schema, schema_of
from vqchaos.experiment.settings import OWN, REQUIRED, Schema, Setting, settings_of
from vqchaos.faults.base import Fault
from vqchaos.units import format_duration

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
WAY_OUT = "`python tools/reference.py` writes docs/reference anew"
_EXPERIMENTS, _TOUR = ROOT / "experiments", ROOT / "src" / "vqchaos" / "data" / "tour"
_MADE = "Made from the code by `python tools/reference.py`; a test fails where the two differ.\n"
_FIRST = ("version", "name", "kind", "type")
_REGISTRIES: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "faults": faults.REGISTRY,
    "checks": checks.REGISTRY,
}


def pages() -> dict[str, str]:
    """Each page's name and text."""
    made = {
        "faults.md": _faults(),
        "checks.md": _checks(),
        "cli.md": _cli(),
        "files.md": _files(),
    }
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


def stale() -> list[str]:
    """The pages that are not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]


# ---------------------------------------------------------------- faults and checks


def _faults() -> Iterator[str]:
    yield from ("# Fault types", "", _MADE)
    rows = [(cls.family, _anchored(name), cls.summary) for name, cls in faults.REGISTRY.items()]
    yield from _table(("family", "type", "what it does"), sorted(rows))
    if faults.PLANNED:
        yield from (f"Not in this version: {_codes(sorted(faults.PLANNED))}.", "")
    yield from ("## Every fault", "")
    yield from _part("every fault", _plain(Fault), without={"type"})
    used = _users()
    for name, cls in sorted(faults.REGISTRY.items()):
        kind = "held until it is reverted" if cls.held else "instant"
        yield from (
            f"## {name}",
            "",
            cls.summary,
            "",
            f"- **Family:** {cls.family}",
            f"- **Kind:** {kind}"
            + ", acts on the next start of the server" * cls.startup
            + ", injected while a request is streaming" * cls.cuts_streams,
            f"- **Needs:** {_needs(cls)}",
            f"- **A good stack:** {cls.graceful}",
            f"- **Undo:** {cls.undo}" + _limit(cls),
            f"- **Examples:** {_experiments(used.get(name, []))}",
            "",
        )
        yield from _part(name, part_schema(cls), without={"type", *_keys(Fault)})


def _needs(cls: type[Fault]) -> str:
    return "; ".join(f"`{n}`, {n.what}" for n in sorted(cls.needs)) or "nothing"


def _limit(cls: type[Fault]) -> str:
    return f" (at most {format_duration(cls.revert_timeout)})" if cls.held else ""


def _users() -> dict[str, list[Path]]:
    """Which of the experiments that ship use a fault type."""
    used: dict[str, list[Path]] = {}
    for folder in (_EXPERIMENTS, _TOUR):
        for path in find_experiments(folder)[0]:
            for name in sorted({fault.type for fault in load_experiment(path).faults}):
                used.setdefault(name, []).append(path.relative_to(ROOT))
    return used


def _experiments(paths: list[Path]) -> str:
    names = {_EXPERIMENTS: "", _TOUR: "tour/"}
    parts = [f"[{names[ROOT / p.parent]}{p.stem}](../../{p})" for p in paths]
    return ", ".join(parts) or "none"


def _checks() -> Iterator[str]:
    yield from ("# Checks", "", _MADE)
    rows = [(_anchored(name), cls.summary) for name, cls in checks.REGISTRY.items()]
    yield from _table(("type", "what it judges"), rows)
    yield from ("## Every check", "")
    yield from _part("every check", _plain(Check), without={"type"})
    for name, cls in checks.REGISTRY.items():
        yield from (
            f"## {name}",
            "",
            f"- **Judges:** {cls.summary}",
            f"- **Observes:** {cls.observes}",
            f"- **Unit:** {' or '.join(unit or 'in words' for unit in cls.units)}",
            "",
        )
        yield from _part(name, part_schema(cls), without={"type", *_keys(Check)})


def _plain(base: type[BaseModel]) -> Schema:
    """Without the words of a base class: they are for those who write one."""
    return {**part_schema(base), "description": ""}


def _keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


# ---------------------------------------------------------------- files


def _files() -> Iterator[str]:
    yield from ("# Files", "", _MADE)
    told = {kind.replace(" ", ""): key for key, kind in FILE_KINDS.items()}
    for kind in KINDS:
        schema = schema_of(kind)
        yield from (f"## {kind}", "")
        if kind in told:
            yield from (f"Told by its key `{told[kind]}`.", "")
        yield from _part(kind, schema)


def _part(title: str, schema: Schema, without: Iterable[str] = ()) -> Iterator[str]:
    """One object's words and keys, then those of the parts that it is made of. ``title`` is what
    the headings of those begin with."""
    definitions: dict[str, Schema] = schema.get("$defs", {})
    model, hidden = _model(schema, None), set(without)
    shown = {k: v for k, v in schema.get("properties", {}).items() if k not in hidden}
    schema = {**schema, "properties": shown}
    labels = _labels(schema, definitions)

    def named(name: str) -> str:
        if (page := _page_of(name)) is not None:
            return f"[{page[:-1]}]({page}.md)"
        label = labels[name]
        return f"[{label.rpartition(' ')[2]}](#{anchor(f'{title}: {label}')})"

    def told(part: Schema, model: type[BaseModel] | None) -> Iterator[str]:
        if words := part.get("description"):
            yield from (_flowing(words), "")
        settings = sorted(settings_of(part, named, model), key=lambda s: s.key not in _FIRST)
        rows = [(f"`{s.key}`", s.kind, _default(s), s.meaning) for s in settings]
        if rows:
            yield from _table(("key", "type", "default", "meaning"), rows)

    yield from told(schema, model)
    for name, label in labels.items():
        if _page_of(name) is None:
            yield from (f"### {title}: {label}", "")
            yield from told(definitions[name], _model(definitions[name], name))


def _labels(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, str]:
    """What each part that is reached is called here: by the key that holds it and, of several
    there, by its own ``type`` or ``kind``, else by the name that its model has."""
    found: dict[str, str] = {}
    waiting = [*schema["properties"].items(), ("", schema.get("anyOf", []))]
    while waiting:
        key, part = waiting.pop(0)
        for name in _references(part):
            if name in found:
                continue
            properties = definitions[name].get("properties", {})
            own = [
                properties[k]["const"] for k in ("type", "kind") if "const" in properties.get(k, {})
            ]
            label = " ".join(filter(None, [key, *own]))
            found[name] = f"{label} {name}" if label in found.values() else label
            if _page_of(name) is None:
                waiting += properties.items()
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(ref := part.get("$ref"), str):
            yield ref.rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _page_of(name: str) -> str | None:
    """Where a fault or a check is told of: on a page of its own kind."""
    for page, registry in _REGISTRIES.items():
        if any(cls.__name__ == name for cls in registry.values()):
            return page
    return None


def _model(schema: Schema, name: str | None) -> type[BaseModel] | None:
    """The class that an object of a schema was made from: by its name there, else by its keys."""
    keys = set(schema.get("properties", {}))
    for cls in _subclasses(BaseModel):
        if keys and _keys(cls) == keys and name in (None, cls.__name__):
            return cls
    return None


def _subclasses(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("vqchaos."):
            yield sub
        yield from _subclasses(sub)


# ---------------------------------------------------------------- commands


def _cli() -> Iterator[str]:
    group: Any = get_command(app)
    commands = {name: one for name, one in group.commands.items() if not one.hidden}
    yield from ("# Commands", "", _MADE)
    rest = [name for name in commands if name not in {n for _, g in GROUPS for n, _ in g}]
    groups = [(title, [name for name, _ in listed]) for title, listed in GROUPS]
    if rest:
        groups.append(("More", rest))
    for title, names in groups:
        links = ", ".join(_anchored(f"vqchaos {name}", name) for name in names)
        yield f"- {title}: {links}"
    yield ""
    for _, names in groups:
        for name in names:
            yield from _command(name, commands[name])
    yield from ("## Exit codes", "", *(f"    {line}" for line in EXIT_CODES.split("\n")), "")
    yield from ("Which error ends in which:", "")
    tree = (errors.__doc__ or "").split("\n\n")[1]
    yield from (*(f"    {line}" for line in tree.split("\n")), "")


def _command(name: str, command: Any) -> Iterator[str]:
    shown = [p for p in command.params if not p.hidden]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option"]
    words = [a.name.upper() + "…" * (a.nargs == -1) for a in arguments]
    words = [w if a.required else f"[{w}]" for w, a in zip(words, arguments, strict=True)]
    usage = ["vqchaos", name, *(["[OPTIONS]"] if options else []), *words]
    yield from (f"## vqchaos {name}", "", f"    {' '.join(usage)}", "")
    yield from (inspect.cleandoc(command.help), "")
    rows = [(f"`{a.name.upper()}`", _type(a), _fallback(a), a.help or "") for a in arguments]
    if rows:
        yield from _table(("argument", "type", "default", "meaning"), rows)
    rows = [
        (_codes([*o.opts, *o.secondary_opts]), _type(o), _fallback(o), o.help or "")
        for o in options
    ]
    if rows:
        yield from _table(("option", "type", "default", "meaning"), rows)


def _type(parameter: Any) -> str:
    if getattr(parameter, "is_bool_flag", False):
        return "flag"
    annotation = parameter.type_descriptor.annotation
    inner = next(iter(get_args(annotation)), annotation)
    words = {str: "text", Path: "path", int: "integer", float: "number"}.get(inner, str(inner))
    if parameter.min is not None:
        words += f" >= {parameter.min}"
    if parameter.max is not None:
        words += f" <= {parameter.max}"
    if parameter.metavar:
        words = f"`{parameter.metavar}`"
    return words + (", any number of times" if parameter.multiple else "")


def _fallback(parameter: Any) -> str:
    if parameter.required:
        return REQUIRED
    empty = parameter.default in (None, [], "") or getattr(parameter, "is_bool_flag", False)
    return "" if empty else f"`{parameter.default}`"


# ---------------------------------------------------------------- Markdown


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(_cell(text) for text in row) + " |"
    yield ""


def _cell(text: str) -> str:
    return _flowing(text).replace("\n", " ").replace("|", "\\|")


def _flowing(text: str) -> str:
    return inspect.cleandoc(text).replace("``", "`")


def _default(setting: Setting) -> str:
    plain = setting.default in (REQUIRED, OWN)
    return setting.default if plain else f"`{setting.default}`"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _anchored(heading: str, text: str | None = None) -> str:
    return f"[`{text or heading}`](#{anchor(heading)})"


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def main(words: list[str]) -> int:
    """0 if the pages are current, or were written."""
    if words == ["--check"]:
        old = stale()
        print(f"not current: {', '.join(old)}; {WAY_OUT}" if old else "docs/reference is current")
        return 1 if old else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
