"""``judge``, ``report`` and ``golden``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

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
from vqchaos.errors import UsageError


def register(app: typer.Typer) -> None:
    add_command(app, judge)
    add_command(app, report)
    add_command(app, golden)


def judge(
    run: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    checks: Annotated[
        Path | None,
        typer.Option(help="Judge by the checks of this experiment file; default the run's own."),
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Write verdict.json and the reports anew.")
    ] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """Offline: the stack is not touched. The exit code is the verdict's."""
    from vqchaos.judge import judge_folder
    from vqchaos.report.terminal import render_run

    if not (run / "history.jsonl").is_file():
        raise UsageError(f"{run}: not a run's folder: it has no history.jsonl")
    verdict = judge_folder(run, experiment_file=checks, save=save)
    if as_json:
        print(json.dumps(verdict))
    else:
        console().print(render_run(verdict, run))
    raise typer.Exit(int(verdict["exit_code"]))


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a set's.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the page there, and nothing else."),
    ] = None,
) -> None:
    """Offline, from the verdict that the run has: `vqchaos judge --save` gives it another. A run
    gets report.html, junit.xml, summary.md and metrics.prom; a set index.html,
    junit.xml, summary.md and metrics.prom."""
    from vqchaos.cli.rendering import render

    print(render(run, out))


def golden(
    out: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
    canaries: Annotated[
        Path | None, typer.Option(help="Prompts to ask (JSON); default the ones that ship.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Asks each canary twice on the quiet stack and writes the answers, if they agree, with
    the model's hash and vLLM's version. Run it on a stack you trust."""
    from vqchaos.probes.golden import built_in_canaries, parse_canaries, record_golden

    if out.exists() and not force:
        raise UsageError(f"{out} is there already", hint="overwrite it with --force")
    prompts = built_in_canaries()
    if canaries is not None:
        try:
            prompts = parse_canaries(json.loads(canaries.read_bytes()), str(canaries))
        except (OSError, ValueError) as error:
            raise UsageError(f"{canaries}: cannot be read as JSON: {error}") from error
    opened = open_named_stack(stack, sets)
    ends = opened.endpoints
    recorded = record_golden(
        ends.direct_url,
        ends.model,
        prompts,
        model_sha256=str(opened.describe().get("model_fingerprint") or ""),
        headers=ends.headers,
        ca_file=ends.ca_file,
    )
    try:
        recorded.write(out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    for canary in recorded.canaries:
        say(f"{canary.name}: {canary.text!r}")
    print(f"wrote {out}")
