"""What ``heal`` does, over one stack or all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from vqchaos.cli.common import open_named_stack, say, show_error
from vqchaos.clock import RealClock
from vqchaos.errors import ExitCode, StackLocked, VqchaosError, worst
from vqchaos.ledger import Entry
from vqchaos.runner.aftermath import Healed
from vqchaos.runner.heal import heal
from vqchaos.stack.protocols import Stack
from vqchaos.text import one_line
from vqchaos.units import format_duration


def heal_stacks(name: str | None, *, dry_run: bool, as_json: bool) -> ExitCode:
    """Heal the named stack, or all of this user's; returns the exit code."""
    clock = RealClock()
    stacks = [open_named_stack(name)] if name is not None else known_stacks()
    codes = [ExitCode.PASS]
    out: list[dict[str, Any]] = []
    for stack in stacks:
        try:
            healed = heal(stack, clock, dry_run=dry_run)
        except StackLocked as error:
            if name is not None:
                codes.append(show_error(error))
            else:
                say(f"{stack.name}: {error.message}")
            continue
        except VqchaosError as error:  # go on with the other stacks
            codes.append(show_error(error))
            continue
        out.append(as_data(healed, clock.wall()))
        if not as_json:
            show(healed, clock.wall(), dry_run=dry_run)
        if not healed.clean:
            codes.append(ExitCode.UNCLEAN)
    if as_json:
        print(json.dumps(out))
    elif not any(item["faults"] or item["live"] or item["left"] for item in out):
        print("no faults in force")
    return worst(codes)


def known_stacks() -> list[Stack]:
    """Every stack of this user that has a ledger, opened from what its state folder remembers."""
    from vqchaos.stack.opening import remembered_stacks

    stacks: list[Stack] = []
    for folder, opened in remembered_stacks():
        if isinstance(opened, VqchaosError):
            _cannot_open(folder, opened)
        else:
            stacks.append(opened)
    return stacks


def _cannot_open(folder: Path, error: VqchaosError) -> None:
    say(f"{folder.name}: cannot be opened: {error.message}")


def as_data(healed: Healed, now: float) -> dict[str, Any]:
    """For --json."""
    done = {item.entry.id: item for item in healed.undone}
    return {
        "stack": healed.stack,
        "clean": healed.clean,
        "faults": [
            {
                "id": entry.id,
                "fault": entry.fault,
                "type": entry.type,
                "target": entry.target,
                "run": entry.run,
                "owner": {"pid": entry.runner_pid, "alive": owner_alive(entry)},
                "age": round(max(0.0, now - entry.recorded_wall), 1),
                "undone": done[entry.id].done if entry.id in done else None,
                "note": done[entry.id].note if entry.id in done else "",
                "why": done[entry.id].proof.why if entry.id in done else "",
                "manual": done[entry.id].manual if entry.id in done else [],
            }
            for entry in healed.found
        ],
        "live": [
            {"mark": mark.toxic.name, "run": mark.run, "left": round(mark.deadline - now, 1)}
            for mark in healed.live
        ],
        "left": [asdict(item) for item in healed.left],
        "problems": healed.problems,
    }


def owner_alive(entry: Entry) -> bool:
    """Does the runner that injected it live?"""
    try:
        created = psutil.Process(entry.runner_pid).create_time()
    except (psutil.Error, ValueError):
        return False
    return abs(created - entry.runner_start) < 0.02


def show(healed: Healed, now: float, *, dry_run: bool) -> None:
    """For a person: each fault, what became of it, and the manual steps where it stayed."""
    for line in _lines(as_data(healed, now), dry_run=dry_run):
        by_hand = line.startswith("    ")
        text = one_line(line, 600)  # names and reasons may hold the target's text
        print(f"    {text}" if by_hand else f"{healed.stack}: {text}")


def _lines(data: dict[str, Any], *, dry_run: bool) -> Iterator[str]:
    for fault in data["faults"]:
        owner = "alive" if fault["owner"]["alive"] else "dead"
        head = (
            f"{fault['fault']} ({fault['type']}) of {fault['run']}, "
            f"{format_duration(fault['age'])} old, its runner (process {fault['owner']['pid']}) "
            f"{owner}"
        )
        if dry_run:
            yield f"{head}: would be reverted"
        elif fault["undone"]:
            yield f"{head}: reverted" + (f" ({fault['note']})" if fault["note"] else "")
        else:
            yield f"{head}: NOT reverted: {fault['why']}"
            yield from (f"    by hand: {line}" for line in fault["manual"])
    for mark in data["live"]:
        left = format_duration(max(0.0, mark["left"]))
        whose = "is another run's that may still go on"
        yield f"{mark['mark']} {whose}: left alone (it expires in {left})"
    for item in data["left"]:
        yield f"still there: {item['kind']} {item['name']}"
    yield from data["problems"]
