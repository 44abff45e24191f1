"""What ``heal`` does, over one stack or all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from vqchaos.cli.common import open_named_stack, show_error
from vqchaos.clock import RealClock
from vqchaos.errors import ExitCode, UncleanError, VqchaosError, worst
from vqchaos.ledger import Entry
from vqchaos.runner.aftermath import Healed
from vqchaos.runner.heal import heal
from vqchaos.stack.local.groups import is_alive
from vqchaos.stack.protocols import Stack
from vqchaos.text import one_line
from vqchaos.units import format_duration


def heal_stacks(name: str | None, sets: list[str], *, dry_run: bool, as_json: bool) -> ExitCode:
    """Heal the named stack, or all of this user's; returns the exit code. One that cannot be
    healed keeps none of the others from it."""
    clock = RealClock()
    codes = [ExitCode.PASS]
    out: list[dict[str, Any]] = []
    for stack in chosen_stacks(name, sets, codes):
        try:
            healed = heal(stack, clock, dry_run=dry_run)
        except VqchaosError as error:
            codes.append(show_error(error, about=stack.name))
            continue
        except OSError as error:  # such as a state folder that another user made
            codes.append(unreadable(stack.name, error))
            continue
        out.append(as_data(healed, clock.wall()))
        if not as_json:
            show(healed, clock.wall(), dry_run=dry_run)
        if not healed.clean:
            codes.append(ExitCode.UNCLEAN)
    if as_json:
        print(json.dumps(out))
    elif worst(codes) == ExitCode.PASS and not any(item["faults"] for item in out):
        print("no faults in force")
    return worst(codes)


def chosen_stacks(name: str | None, sets: list[str], codes: list[ExitCode]) -> list[Stack]:
    """The one that was named, with its ``--set``, or all that are known; see ``known_stacks``."""
    return [open_named_stack(name, sets)] if name is not None else known_stacks(codes)


def known_stacks(codes: list[ExitCode]) -> list[Stack]:
    """Every stack of this user that a run was made on, opened from what its state folder remembers.
    One with a ledger that cannot be opened is told, and adds its exit code to ``codes``."""
    from vqchaos.stack.opening import remembered_stacks

    stacks: list[Stack] = []
    for folder, opened in remembered_stacks():
        if isinstance(opened, VqchaosError):
            show_error(opened, about=folder.name)
            codes.append(ExitCode.UNCLEAN)  # its ledger lists faults
        else:
            stacks.append(opened)
    return stacks


def unreadable(name: str, error: OSError) -> ExitCode:
    """Tells of a stack whose state cannot be read, and so may have faults in force."""
    what = UncleanError(
        f"{error.filename or 'its state'} cannot be read: {error.strerror}",
        hint="run this as the user who made it",
    )
    return show_error(what, about=name)


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
            {
                "mark": mark.thing.mark,
                "kind": mark.thing.kind,
                "name": mark.thing.name,
                "run": mark.run,
                "left": round(mark.deadline - now, 1),
            }
            for mark in healed.live
        ],
        "left": [asdict(item) for item in healed.left],
        "problems": healed.problems,
    }


def owner_alive(entry: Entry) -> bool:
    """Does the runner that injected it live?"""
    return entry.runner_pid > 0 and is_alive(entry.runner_pid, entry.runner_start)


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
        yield f"{mark['kind']} {mark['name']} {whose}: left alone (it expires in {left})"
    for item in data["left"]:
        yield f"still there: {item['kind']} {item['name']}"
    yield from data["problems"]
