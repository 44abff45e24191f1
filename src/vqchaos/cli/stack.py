"""``up``, ``down``, ``status``, ``doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqchaos.cli.common import (
    JSON_OPTION,
    SET_OPTION,
    STACK_OPTION,
    add_command,
    console,
    open_named_stack,
    say,
)
from vqchaos.errors import ExitCode, StackLocked

if TYPE_CHECKING:
    from vqchaos.stack.status import StackStatus


def register(app: typer.Typer) -> None:
    add_command(app, up)
    add_command(app, down)
    add_command(app, status)
    add_command(app, doctor)


def up(
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
    engine_python: Annotated[
        Path | None,
        typer.Option(
            help="The Python (3.11 to 3.14) to make the engine's environment with; "
            "default the one that runs vqchaos."
        ),
    ] = None,
) -> None:
    """Local: the first start makes the engine's own environment (a minute or two, a few GB in the
    cache folder). Docker: `docker compose up`. A stack that is up is left alone."""
    from vqchaos.cli.progress import StepLines
    from vqchaos.stack.lifecycle import up as bring_up

    opened = open_named_stack(stack, sets)
    with StepLines(console(stderr=True)) as progress:
        bring_up(opened, progress, engine_python=str(engine_python) if engine_python else None)


def down(
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
    force: Annotated[
        bool, typer.Option("--force", help="Also with faults in force: their undo is forgotten.")
    ] = False,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Docker: the project's volumes too, with their data.")
    ] = False,
) -> None:
    """Also ends orphans of earlier servers, their shared memory, sockets and temporary files. Of a
    Docker project, volumes stay, and containers that its files do not name."""
    from vqchaos.cli.progress import StepLines
    from vqchaos.runner.lock import holder
    from vqchaos.stack.lifecycle import down as bring_down

    opened = open_named_stack(stack, sets)
    live = holder(opened.state_dir)
    if live is not None and not force:
        raise StackLocked(
            f"{live.get('what', 'a run')} is alive on this stack (process {live.get('pid', '?')})",
            hint="stop it with `vqchaos abort`: it reverts its faults and ends",
        )
    with StepLines(console(stderr=True)) as progress:
        kept = bring_down(opened, progress, force=force, volumes=volumes)
    if kept:
        names = ", ".join(f"{item.kind} {item.name}" for item in kept)
        more = "" if volumes else "; `vqchaos down --volumes` takes the volumes as well"
        more = more if any(item.kind == "volume" for item in kept) else ""
        say(f"down: what is not of this stack was left alone: {names}{more}")
    else:
        say("down: nothing of this stack is left")


def status(
    stack: str = STACK_OPTION, sets: list[str] = SET_OPTION, as_json: bool = JSON_OPTION
) -> None:
    """Exit code 0 if the stack serves a token, else 3."""
    from vqchaos.runner.lock import holder
    from vqchaos.stack.lifecycle import status as look

    opened = open_named_stack(stack, sets)
    found = look(opened)
    run = holder(opened.state_dir)
    if as_json:
        print(json.dumps(found.as_json() | {"run": run}))
    else:
        _print_status(found, (run or {}).get("what", "none"))
    raise typer.Exit(ExitCode.PASS if found.state == "serving" else ExitCode.UNKNOWN)


def _print_status(found: StackStatus, run: str) -> None:
    rows = [
        ("stack", f"{found.name} ({found.kind})"),
        ("state", found.state + (f": {found.why}" if found.why else "")),
        *((name, url) for name, url in found.urls.items()),
        *((item["role"], f"process {item['pid']}") for item in found.processes),
        *((item["role"], _container(item)) for item in found.containers),
        *((name, version or "unknown") for name, version in found.versions.items()),
        ("run", run),
        ("faults", ", ".join(found.faults_in_force) or "none in force"),
        ("residue", ", ".join(found.residue) or "none"),
        ("state folder", found.state_dir),
    ]
    for name, text in rows:
        print(f"{name:<13} {text}")


def _container(item: dict[str, Any]) -> str:
    health = f", {item['health']}" if item["health"] else ""
    restarts = f", {item['restarts']} restarts" if item["restarts"] else ""
    return f"{item['name']}: {item['status']}{health}{restarts}"


def doctor(as_json: bool = JSON_OPTION) -> None:
    """Exit code 0 if everything the local stack needs is there or can be made, else 3."""
    from vqchaos.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([f.as_json() for f in findings]))
    else:
        for finding in findings:
            mark = {"ok": "ok   ", "note": "note ", "lacks": "LACKS"}[finding.state]
            print(f"{mark} {finding.name:<18} {finding.found}")
            if finding.way_out and finding.state != "ok":
                print(f"{'':<24} → {finding.way_out}")
    lacking = any(f.state == "lacks" for f in findings)
    raise typer.Exit(ExitCode.UNKNOWN if lacking else ExitCode.PASS)
