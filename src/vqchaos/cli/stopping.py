"""``abort`` and ``mark``: what another terminal says to a live run."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from vqchaos.cli.common import (
    JSON_OPTION,
    SET_OPTION,
    add_command,
    say,
    show_error,
)
from vqchaos.errors import ExitCode, UsageError, VqchaosError, worst

ONE_STACK = Annotated[
    str | None,
    typer.Option("--stack", "-s", help="One stack; without it, every stack of this user."),
]


def register(app: typer.Typer) -> None:
    add_command(app, abort)
    add_command(app, mark)


def abort(
    stack: ONE_STACK = None,
    sets: list[str] = SET_OPTION,
    block: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Refuse new runs for so long, such as 30m; 0s lifts it."),
    ] = None,
    as_json: bool = JSON_OPTION,
) -> None:
    """The run stops injecting, reverts everything and ends. If it does not answer within a second
    it is ended, and abort reverts by itself; so too if it answered and has not ended after two
    minutes. Exit code 4 if anything is left."""
    from vqchaos.cli.healing import as_data, chosen_stacks, show, unreadable
    from vqchaos.clock import RealClock
    from vqchaos.runner import abort as stopping

    clock = RealClock()
    seconds = _seconds(block)
    codes, out = [ExitCode.PASS], []
    for opened in chosen_stacks(stack, sets, codes):
        try:
            if seconds is not None:
                stopping.block(opened.state_dir, seconds, clock)
            done = stopping.abort(opened, clock, lambda text: say(f"abort: {text}"))
        except VqchaosError as error:
            codes.append(show_error(error, about=opened.name))
            continue
        except OSError as error:
            codes.append(unreadable(opened.name, error))
            continue
        out.append({**as_data(done.healed, clock.wall()), "how": done.how, "what": done.what})
        if not done.healed.clean:
            codes.append(ExitCode.UNCLEAN)
        if not as_json:
            end = {"none": "nothing ran", "asked": "has ended", "stopped": "was ended"}[done.how]
            print(f"{opened.name}: " + (end if done.how == "none" else f"{done.what} {end}"))
            show(done.healed, clock.wall(), dry_run=False)
            if done.healed.clean:
                print(f"{opened.name}: no faults in force")
    if as_json:
        print(json.dumps(out))
    elif not out and len(codes) == 1:
        print("nothing runs")
        if seconds is not None:
            raise UsageError(
                "no stack is known here, so nothing is blocked", hint="name it: --stack FILE"
            )
    raise typer.Exit(worst(codes))


def mark(
    text: Annotated[str, typer.Argument(help="What to write down.")] = "",
    now: Annotated[
        bool, typer.Option("--now", help="The fault (of type external) is at this moment.")
    ] = False,
    stack: ONE_STACK = None,
    sets: list[str] = SET_OPTION,
) -> None:
    """--now says that the fault of an `external` experiment happens at this moment; it needs the
    fault phase to be on. Exit code 3 if no run takes it."""
    from vqchaos.cli.healing import chosen_stacks
    from vqchaos.runner.control import NoAnswerError, ask
    from vqchaos.runner.lock import holder

    if not text and not now:
        raise UsageError("what is to be written down?", hint="vqchaos mark TEXT, or mark --now")
    live = [
        s
        for s in chosen_stacks(stack, sets, [])
        if (holder(s.state_dir) or {}).get("role") == "run"
    ]
    if len(live) > 1:
        names = ", ".join(s.name for s in live)
        raise UsageError(f"runs are live on {names}", hint="name one with --stack")
    if not live:
        raise VqchaosError("no run is live", hint="`vqchaos run` starts one")
    try:
        said = ask(live[0].state_dir, {"do": "mark", "text": text, "now": now}, timeout=5.0)
    except NoAnswerError as error:
        raise VqchaosError(f"the run on {live[0].name} does not answer: {error}") from error
    if not said.get("ok"):
        raise VqchaosError(f"the run did not take it: {said.get('error', 'no reason given')}")
    print(f"written into {said['run']} at {said['t']:.2f} s")


def _seconds(text: str | None) -> float | None:
    from vqchaos.units import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--block: {error}", hint="such as --block 30m") from error
