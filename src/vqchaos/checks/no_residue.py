"""``no_residue``: the stack left nothing of its own behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vqchaos.checks.base import Check, Result
from vqchaos.checks.wording import plural
from vqchaos.view import RunView

Kind = Literal["process", "shared_memory", "socket", "file"]


class NoResidue(Check):
    """Looked for when the run was over, before vqchaos removed it."""

    summary: ClassVar[str] = "no orphaned process, shared memory or socket of the stack is left"
    observes: ClassVar[str] = "how many things of the stack were left behind"
    units: ClassVar[tuple[str, ...]] = ("count",)

    type: Literal["no_residue"] = "no_residue"
    accept: dict[Kind, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="At most so many things of a kind may be left: a process that is killed cannot "
        "remove its sockets; each kind that is accepted is named as a finding",
    )

    def describe(self) -> str:
        but = ", ".join(f"{n} {_words(kind)}" for kind, n in sorted(self.accept.items()))
        return "nothing of the stack's own is left behind" + (f", but at most {but}" * bool(but))

    def judge(self, run: RunView) -> Result:
        items = run.residue
        if items is None:
            return Result("unknown", "nobody looked for residue", None, 0, "count")
        if not items:
            return Result("pass", "nothing was left behind", 0, 0, "count")
        kinds = Counter(str(item.get("kind", "thing")) for item in items)
        accepted: dict[str, int] = {
            kind: kinds[kind] for kind, most in self.accept.items() if 0 < kinds[kind] <= most
        }
        bad = [item for item in items if item.get("kind") not in accepted]
        findings = [f"the stack left {_counted(accepted)} behind, accepted"] if accepted else []
        if not bad:
            why = f"nothing was left behind but {_counted(accepted)}, which is accepted"
            return Result("pass", why, 0, 0, "count", findings)
        counts = _counted({kind: n for kind, n in kinds.items() if kind not in accepted})
        why = f"the stack left {plural(len(bad), 'thing')} behind ({counts}): {_listed(bad)}"
        return Result("fail", why, len(bad), 0, "count", findings)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _counted(kinds: Mapping[str, int]) -> str:
    """``7 socket, 1 shared memory``."""
    return ", ".join(f"{n} {_words(kind)}" for kind, n in sorted(kinds.items()))


def _listed(items: Iterable[Mapping[str, str]]) -> str:
    every = [
        f"{item.get('kind', '')} {item.get('name', '')}"
        + (f" ({item['detail']})" if item.get("detail") else "")
        for item in items
    ]
    return "; ".join(every[:3]) + (f"; and {len(every) - 3} more" if len(every) > 3 else "")
