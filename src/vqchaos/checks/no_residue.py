"""``no_residue``: the stack left nothing of its own behind."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Literal

from vqchaos.checks.base import Check, Result
from vqchaos.checks.wording import plural
from vqchaos.view import RunView


class NoResidue(Check):
    """Looked for when the run was over, before vqchaos removed it."""

    summary: ClassVar[str] = "no orphaned process, shared memory or socket of the stack is left"
    observes: ClassVar[str] = "how many things of the stack were left behind"
    units: ClassVar[tuple[str, ...]] = ("count",)

    type: Literal["no_residue"] = "no_residue"

    def describe(self) -> str:
        return "nothing of the stack's own is left behind"

    def judge(self, run: RunView) -> Result:
        items = run.residue
        if items is None:
            return Result("unknown", "nobody looked for residue", None, 0, "count")
        if not items:
            return Result("pass", "nothing was left behind", 0, 0, "count")
        kinds = Counter(item.get("kind", "thing").replace("_", " ") for item in items)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        listed = "; ".join(
            f"{i.get('kind', '')} {i.get('name', '')}"
            + (f" ({i['detail']})" if i.get("detail") else "")
            for i in items[:3]
        )
        more = f"; and {len(items) - 3} more" if len(items) > 3 else ""
        why = f"the stack left {plural(len(items), 'thing')} behind ({counts}): {listed}{more}"
        return Result("fail", why, len(items), 0, "count")
