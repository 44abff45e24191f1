"""``run``, ``plan``, ``validate``, ``heal``, ``demo``, ``init``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqchaos.cli.common import (
    JSON_OPTION,
    SET_OPTION,
    STACK_OPTION,
    add_command,
    console,
    data_path,
    experiment_sets,
    open_named_stack,
    require_local,
    say,
)
from vqchaos.errors import ExitCode, InvalidFile, UsageError, VqchaosError
from vqchaos.text import one_line

if TYPE_CHECKING:
    from vqchaos.runner.sets import Planned, SetResult
    from vqchaos.stack.protocols import Stack

FILES = Annotated[
    list[Path], typer.Argument(help="Experiment files, or folders of them.", show_default=False)
]
OUT = Annotated[Path, typer.Option("--out", "-o", help="Where the run folders go.")]


def register(app: typer.Typer) -> None:
    add_command(app, run)
    add_command(app, plan)
    add_command(app, validate)
    add_command(app, heal)
    add_command(app, demo)
    add_command(app, init)


def run(
    files: FILES,
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
    repeat: Annotated[
        int | None, typer.Option(min=1, help="Run each experiment so often; default from its file.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="A name for the set in summary.json.")] = None,
    out: OUT = Path("runs"),
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Needed where the stack is production.")
    ] = False,
    no_skip: Annotated[
        bool, typer.Option("--no-skip", help="What the stack cannot do is an error.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="… is skipped, also if its file is named.")
    ] = False,
    gate: Annotated[
        Path | None,
        typer.Option(help="A gate's file: its rules decide on the exit code, over all runs."),
    ] = None,
    keep_residue: Annotated[
        bool, typer.Option("--keep-residue", help="Leave orphans for a closer look.")
    ] = False,
    no_watchdog: Annotated[
        bool,
        typer.Option("--no-watchdog", help="Killed, this process leaves its faults to heal."),
    ] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """All files are checked before anything is injected. Every fault is in a ledger on disk before
    it is injected and is reverted whatever happens; Ctrl-C reverts and ends, and if this process is
    killed, its watchdog reverts. `vqchaos abort` stops it from another terminal."""
    from vqchaos.experiment.files import load_gate
    from vqchaos.runner.sets import SetOptions

    rules = None if gate is None else (load_gate(gate), gate)
    planned = load_all(files, sets)
    if rules is not None:
        from vqchaos.gate import require_known

        require_known(*rules, {plan.experiment.name for plan in planned})
    if skip:
        planned = [replace(plan, named=False) for plan in planned]
    opened = open_named_stack(stack, sets)
    options = SetOptions(
        out=out,
        repeat=repeat,
        yes=yes,
        no_skip=no_skip,
        keep_residue=keep_residue,
        label=label,
        watchdog=not no_watchdog,
        gate=rules,
    )
    result = run_set(planned, opened, options, as_json=as_json)
    raise typer.Exit(result.exit_code)


def load_all(files: list[Path], sets: list[str]) -> list[Planned]:
    """Every experiment of the files and folders, in order; all their problems at once."""
    from vqchaos.experiment.files import find_experiments

    mine = experiment_sets(sets)
    paths: list[tuple[Path, bool]] = []
    for file in files:
        if file.is_dir():
            found, passed_over = find_experiments(file)
            if not found:
                raise UsageError(f"{file}: no experiment in this folder")
            paths += [(path, False) for path in found]
            for path in passed_over:
                say(f"{path}: not an experiment, passed over")
        else:
            paths.append((file, True))
    planned, problems = [], []
    for path, named in paths:
        try:
            planned.append(load_one(path, mine, named=named))
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems, hint="nothing was run; mend these first")
    return planned


def load_one(path: Path, sets: list[str], *, named: bool) -> Planned:
    """One experiment; its canary's golden answers lie beside its file. Raises InvalidFile."""
    from vqchaos.experiment.files import load_experiment
    from vqchaos.runner.sets import Planned

    experiment = load_experiment(path, sets=sets)
    golden = experiment.canary.golden
    return Planned(experiment, path, named, (path.parent / golden) if golden else None)


def with_golden(plan: Planned, stack: Stack) -> Planned:
    """The demo model's right answers ship with it; an experiment's own go before."""
    if plan.golden is None and stack.describe().get("model") == "demo":
        return replace(plan, golden=data_path("demo-golden.json"))
    return plan


def run_set(
    planned: list[Planned], stack: Stack, options: Any, *, as_json: bool = False
) -> SetResult:
    """Run with live progress on stderr; verdicts on stdout with ``as_json``."""
    from vqchaos.cli.progress import RunProgress
    from vqchaos.clock import RealClock
    from vqchaos.report.terminal import render_gate, render_set
    from vqchaos.runner.interrupts import Interrupts
    from vqchaos.runner.progress import Guarded
    from vqchaos.runner.sets import SetRunner

    interrupts = Interrupts()
    err = console(stderr=True)
    with RunProgress(err) as progress, interrupts.installed():
        guarded = Guarded(progress)

        def on_signal(_signum: int, count: int) -> None:
            if count > 1:
                guarded.said("still reverting; a second signal does not hurry it")

        interrupts.on_signal = on_signal
        planned = [with_golden(plan, stack) for plan in planned]
        runner = SetRunner(stack, RealClock(), progress, interrupts, options)
        result = runner.run(planned)
    for skipped in result.skipped:
        say(f"skipped {skipped.experiment}: {skipped.reason}")
    if result.error is not None:
        from vqchaos.cli.common import show_error

        show_error(result.error)
    try:
        if as_json:
            for done in result.runs:
                print(json.dumps(done.verdict))
            print(json.dumps(result.summary), flush=True)
        elif len(result.runs) > 1:
            console().print(render_set(result.summary, [d.verdict for d in result.runs]))
        if not as_json and "gate" in result.summary:
            console().print(render_gate(result.summary["gate"]))
    except BrokenPipeError:  # `| head`: the exit code is the runs' all the same
        sys.stdout = None
    if result.folder is not None:
        say(f"summary: {result.folder}/summary.json")
        say(f"report: {result.folder}/index.html")
    return result


def plan(
    file: Annotated[Path, typer.Argument(help="An experiment file.", show_default=False)],
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
) -> None:
    """Exit code 3 if the stack lacks something the experiment needs."""
    from vqchaos.experiment.files import load_experiment
    from vqchaos.faults.base import require_few
    from vqchaos.observer.config import url_of
    from vqchaos.runner.sets import lacking
    from vqchaos.units import format_duration

    experiment = load_experiment(file, sets=experiment_sets(sets))
    opened = open_named_stack(stack, sets)
    ok = True
    print(f"{experiment.name}: {experiment.title}")
    if experiment.hypothesis:
        print(f"hypothesis: {experiment.hypothesis}")
    print(f"stack: {opened.name} ({opened.kind}), clients at {opened.endpoints.client_url}")
    print_links(opened)
    for name, load in experiment.traffic().items():
        how = "streamed" if load.stream else "not streamed"
        url = url_of(name, load, opened.endpoints)
        place = f", at {load.endpoint} ({url})" if load.endpoint else ""
        print(f"workload {name}: {load.rate:g}/s {load.api}, {load.arrivals}, {how}{place}")
    phases = experiment.phases
    print(f"+ warm-up {format_duration(phases.warmup)}, quiet canary")
    print(f"+ baseline {format_duration(phases.baseline)}")
    print(f"+ fault phase {format_duration(phases.fault)}")
    for fault in experiment.faults:
        name = fault.name or fault.type
        again = f", every {format_duration(fault.every)}" if fault.every is not None else ""
        print(f"  at {format_duration(fault.at)}{again}: {name} ({fault.type})")
        reasons = lacking(fault, opened)
        try:
            if not reasons:
                require_few(fault, opened, experiment.max_targets)
            lines = [] if reasons else fault.plan(opened)
        except VqchaosError as error:
            reasons = [error.message, *([f"→ {error.hint}"] if error.hint else [])]
            lines = []
        for line in lines:
            print(f"    {one_line(line)}")
        for reason in reasons:
            ok = False
            head = "      " if reason.startswith("→") else "    OUT OF REACH: "
            print(f"{head}{one_line(reason)}")
    print(f"+ recovery, at most {format_duration(phases.recovery)}")
    print(f"+ settle {format_duration(phases.settle)}, quiet canary")
    for check in experiment.checks:
        print(f"check {check.name or check.type}: {check.describe()}")
    raise typer.Exit(ExitCode.PASS if ok else ExitCode.UNKNOWN)


def print_links(stack: Stack) -> None:
    """Each link with its proxies, by the names that Toxiproxy has for them."""
    from vqchaos.stack.reach import topology

    for link, proxies in topology(stack.links()).items():
        print(f"link {link}: {', '.join(proxies)}")


def validate(files: FILES) -> None:
    """Exit code 0 if every file is in order, else 2."""
    from vqchaos.experiment.files import validate_files

    problems = validate_files(files)
    if problems:
        raise InvalidFile(problems)
    print(f"{len(files)} in order" if len(files) > 1 else f"{files[0]}: in order")


def heal(
    stack: Annotated[
        str | None,
        typer.Option("--stack", "-s", help="One stack; without it, every stack of this user."),
    ] = None,
    sets: list[str] = SET_OPTION,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List, revert nothing.")] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """From the ledger, newest first, each verified; then marks whose time is up. Idempotent. While
    a run is live it does nothing: `vqchaos abort` stops that. Exit code 4 if anything could not be
    reverted (the manual steps are printed), anything of ours is left or a mark of a run elsewhere
    is in force; with --dry-run, if there is anything to do."""
    from vqchaos.cli.healing import heal_stacks

    raise typer.Exit(heal_stacks(stack, sets, dry_run=dry_run, as_json=as_json))


def demo(
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
    out: OUT = Path("runs"),
    engine_python: Annotated[
        Path | None, typer.Option(help="The Python to make the engine's environment with.")
    ] = None,
) -> None:
    """Brings the local stack up (the first time: installs vLLM and Toxiproxy), breaks it eight
    ways and says what clients got. Exit code 0 when each was judged as the tour expects. The stack
    stays up; `vqchaos down` ends it."""
    from vqchaos.cli.progress import StepLines
    from vqchaos.cli.tour import print_tour, tour_files
    from vqchaos.runner.sets import SetOptions
    from vqchaos.stack.local.up import up as bring_up

    local = require_local(open_named_stack(stack, sets))
    planned = load_all(tour_files(), sets)
    with StepLines(console(stderr=True)) as progress:
        bring_up(local, progress, engine_python=str(engine_python) if engine_python else None)
    result = run_set(planned, local, SetOptions(out=out, label="tour"))
    raise typer.Exit(print_tour(result))


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Writes experiments/first.yaml and stacks/local.yaml; overwrites nothing without --force."""
    from vqchaos.experiment.starters import starters

    texts = starters()
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        raise UsageError(
            f"there already: {', '.join(str(folder / name) for name in there)}",
            hint="name another folder, or overwrite with --force",
        )
    for name, text in texts.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        print(f"wrote {path}")
    first = next(iter(texts))
    print(f"next: vqchaos up && vqchaos run {os.path.join(folder, first)}")  # noqa: PTH118
