"""``compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqchaos.cli.common import JSON_OPTION, add_command, console
from vqchaos.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vqchaos.compare import Comparison

_SAYS = {
    "same": ("✓ NO REGRESSION", "green"),
    "unclear": ("? CANNOT TELL", "yellow"),
    "regression": ("✗ REGRESSION", "red"),
}


def register(app: typer.Typer) -> None:
    add_command(app, compare)


def compare(
    base: Annotated[Path, typer.Argument(help="A set's folder, or a run's.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The one that may be worse.", show_default=False)],
    max_regression: Annotated[
        str, typer.Option(help="How much slower is accepted: a share (10%) or a time (2s).")
    ] = "10%",
    max_drop: Annotated[
        str, typer.Option(help="How much availability under the fault may be lost, in points.")
    ] = "5%",
    allow_different: Annotated[
        bool, typer.Option("--allow-different", help="Also where the experiments are not alike.")
    ] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """Offline. 0 no regression, 1 regression, 3 cannot tell: it never guesses where the runs are
    too few."""
    from vqchaos.compare import Limit
    from vqchaos.compare import compare as compared
    from vqchaos.saved import load_runs
    from vqchaos.units import parse_share

    limit = Limit.parse(max_regression)
    try:
        drop = parse_share(max_drop)
    except ValueError as error:
        raise UsageError(f"--max-drop {max_drop}: {error}") from error
    runs = load_runs(base), load_runs(new)
    found = compared(*runs, limit, max_drop=drop, allow_different=allow_different)
    if as_json:
        print(json.dumps(found.as_dict(), allow_nan=False))
    else:
        console().print(_shown(found))
    raise typer.Exit(int(found.exit_code))


def _shown(found: Comparison) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from vqchaos.compare_words import describe
    from vqchaos.text import one_line

    def mark(state: str) -> Text:
        said, style = _SAYS[state]
        return Text(said, style=f"bold {style}")

    out: list[RenderableType] = [mark(found.state)]
    out += [Text(f"! {one_line(note)}", overflow="fold") for note in found.notes]
    for line in found.lines:
        name = f"  {one_line(line.experiment)}: {one_line(line.what)}"
        out += [Text(""), Text.assemble(mark(line.state), name, overflow="fold")]
        out.append(Padding(Text(one_line(describe(line)), overflow="fold"), (0, 0, 0, 2)))
    return Group(*out)
