"""Writes docs/history-format.md from the event types: ``python tools/history_format.py``."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, Field, fields
from pathlib import Path

from vqchaos.history.events import ALL, PHASES, SCHEMA, Event

PAGE = Path(__file__).resolve().parent.parent / "docs" / "history-format.md"
_HEAD = f"""# history.jsonl, schema {SCHEMA}

Made from `src/vqchaos/history/events.py` by `python tools/history_format.py`; a test fails
where the two differ.

One JSON object a line, UTF-8, in the order in which things became known; each line is written
at once, so a killed runner loses nothing, and a cut last line is ignored. The first line is
`run.started`, the last `run.ended`; a history without that is incomplete and the run is void.

- Every event has `type` and `t`. `t` and every other moment are **seconds since the run's
  start** on the monotonic clock of the machine that sent the load; `null`: it never happened.
  Exceptions: `started_wall` and `start_time` are Unix seconds, `started_mono` is the raw
  monotonic clock at t = 0, `deadline` and `samples` are durations in seconds. Written to the
  microsecond.
- Phases: {", ".join(PHASES)}.
- A default in the table: the key may be missing, as it is in histories of before it was there.
- Readers ignore unknown types and unknown keys. What is added keeps the schema's number; a
  removal or a change of meaning raises it. `vqchaos judge` reads all older schemas, and refuses
  a newer one by name. `tests/data/schema-1/` is a small history that must be judged the same
  for ever.
"""


def page() -> str:
    """The whole document."""
    return "\n".join([_HEAD, *(_section(cls) for cls in ALL)])


def _section(cls: type[Event]) -> str:
    words = inspect.getdoc(cls) or ""
    generated = words.startswith(f"{cls.__name__}(")  # a dataclass without words of its own
    rows = [
        f"| `{f.name}` | `{str(f.type).replace('|', chr(92) + '|')}` | {_default(f)} |"
        for f in fields(cls)
        if f.name != "t"
    ]
    return "\n".join(
        [f"## `{cls.type}`", "", *([] if generated else [words.replace("``", "`"), ""]),
         "| key | type | default |", "|---|---|---|", *rows, ""]
    )  # fmt: skip


def _default(f: Field[object]) -> str:
    if f.default_factory is not MISSING:
        return f"`{f.default_factory()!r}`"
    if f.default is MISSING:
        return "required"
    return {"()": "`[]`", "None": "`null`", "''": '`""`'}.get(repr(f.default), f"`{f.default!r}`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
