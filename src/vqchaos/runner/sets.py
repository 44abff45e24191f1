"""Several runs: repeats and several experiments, in order, with one summary and one exit code."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqchaos.checks.base import worst as worst_verdict
from vqchaos.clock import Clock
from vqchaos.errors import (
    CapabilityMissing,
    ExitCode,
    Interrupted,
    UncleanError,
    UsageError,
    VqchaosError,
    worst,
)
from vqchaos.experiment.gate import Gate
from vqchaos.experiment.model import Experiment
from vqchaos.faults.base import Fault
from vqchaos.gate import judge_gate
from vqchaos.history.events import Event
from vqchaos.judge import judge_folder, judge_set
from vqchaos.ledger import Ledger
from vqchaos.observer.config import url_of
from vqchaos.report.files import write_set
from vqchaos.runner.abort import refuse_if_blocked
from vqchaos.runner.control import listening
from vqchaos.runner.desk import Desk
from vqchaos.runner.folder import make_folder, write_text
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.lock import patience_of, stack_lock
from vqchaos.runner.progress import Guarded, Progress
from vqchaos.runner.run import Options, Run
from vqchaos.runner.sweep import require_clean
from vqchaos.runner.watchdog import NoGuard, Watchdog
from vqchaos.stack.opening import AnyStack, remember
from vqchaos.stack.protocols import Stack
from vqchaos.summary import CODES

_NO = "if this runner is killed, its faults stay until `vqchaos heal`"


@dataclass(frozen=True, slots=True)
class Planned:
    """One experiment of a set and where it came from; ``golden`` is its canary's reference."""

    experiment: Experiment
    source: Path
    named: bool  # on the command line itself, not found in a folder
    golden: Path | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An experiment this stack cannot do."""

    experiment: str
    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """One run that was made: its folder and its verdict.json."""

    folder: Path
    verdict: dict[str, Any]


@dataclass
class SetResult:
    """What a set of runs came to. ``summary`` is summary.json's content. ``not_run``: experiments
    of which not every run was made."""

    folder: Path | None = None
    runs: list[Done] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.UNKNOWN
    error: VqchaosError | None = None


@dataclass(frozen=True, slots=True)
class SetOptions:
    out: Path
    repeat: int | None = None
    yes: bool = False
    no_skip: bool = False
    keep_residue: bool = False
    label: str | None = None
    watchdog: bool = True
    gate: tuple[Gate, Path] | None = None  # and its file
    listener: Callable[[Event], None] | None = None  # hears each event of each run


def lacking(fault: Fault, stack: Stack) -> list[str]:
    """Why this stack cannot do this fault; empty if it can."""
    missing = stack.missing()
    return [f"{fault.type} needs {need}: {missing[need]}" for need in fault.needed() & set(missing)]


def sort_out(
    planned: Sequence[Planned], stack: Stack, options: SetOptions
) -> tuple[list[Planned], list[Skipped]]:
    """Which experiments run and which are skipped, before anything is injected.

    Raises CapabilityMissing for one named on the command line (or any, with no_skip), UsageError
    for a production stack without --yes, a fault outside `allow:`, a workload on an endpoint
    that the stack does not name, or a secret that is not set or cannot be sent.
    """
    run: list[Planned] = []
    skipped: list[Skipped] = []
    for plan in planned:
        experiment = plan.experiment
        reasons = [text for fault in experiment.faults for text in lacking(fault, stack)]
        missing = {capability.value: why for capability, why in stack.missing().items()}
        reasons += [f"requires {n}: {missing[n]}" for n in experiment.requires if n in missing]
        if reasons and (plan.named or options.no_skip):
            raise CapabilityMissing(
                f"{plan.source}: stack '{stack.name}' cannot do it: " + "; ".join(reasons)
            )
        if reasons:
            skipped.append(Skipped(experiment.name, plan.source, "; ".join(reasons)))
            continue
        _require_permission(plan, stack, options)
        _require_endpoints(plan, stack)
        run.append(plan)
    return run, skipped


def _require_endpoints(plan: Planned, stack: Stack) -> None:
    ends = stack.endpoints  # raises for a key that is not there, or that cannot be sent
    for name, workload in plan.experiment.traffic().items():
        if workload.endpoint is not None:
            try:
                url_of(name, workload, ends)
            except UsageError as error:
                raise UsageError(f"{plan.source}: {error.message}", hint=error.hint) from error


def _require_permission(plan: Planned, stack: Stack, options: SetOptions) -> None:
    allow = plan.experiment.allow
    kinds = {fault.type for fault in plan.experiment.faults}
    refused = sorted(kinds - set(allow)) if allow is not None else []
    if refused:
        raise UsageError(f"{plan.source}: `allow:` does not list {', '.join(refused)}")
    if stack.environment == "production" and (not options.yes or allow is None):
        raise UsageError(
            f"stack '{stack.name}' is production: it takes --yes and an `allow:` list of the "
            f"fault types in {plan.source}"
        )


class SetRunner:
    """Runs what ``sort_out`` let through; ends early only when the stack is unclean or a signal
    came."""

    def __init__(
        self,
        stack: Stack,
        clock: Clock,
        progress: Progress,
        interrupts: Interrupts,
        options: SetOptions,
    ) -> None:
        self._stack = stack
        self._clock = clock
        self._progress = Guarded(progress)
        self._interrupts = interrupts
        self._options = options
        self._desk = Desk(interrupts)
        self._watchdog: Watchdog | NoGuard = NoGuard()

    def run(self, planned: Sequence[Planned]) -> SetResult:
        result = SetResult()
        run, result.skipped = sort_out(planned, self._stack, self._options)
        repeats = [(p, n) for p in run for n in range(self._repeats(p.experiment))]
        with self._holding(self._what(planned)):
            try:
                with self._guard() as self._watchdog:
                    self._all(repeats, result)
            except Interrupted:
                pass  # nothing was running: the summary says what was done before
            except VqchaosError as error:
                result.error = error
            except OSError as error:  # a full disk, a folder that is gone
                result.error = of_the_disk(error, self._stack)
        self._summarise(result, min_valid=_min_valid(run))
        return result

    @contextmanager
    def session(self, what: str) -> Iterator[None]:
        """The stack is ours while the block lasts, over several calls of ``one``: its lock, the
        requests of other terminals, a watchdog. Raises StackLocked."""
        with self._holding(what), self._guard() as self._watchdog:
            yield

    @contextmanager
    def _holding(self, what: str) -> Iterator[None]:
        folder = self._stack.state_dir
        with (
            stack_lock(folder, what, self._clock, patience=patience_of(folder)),
            listening(folder, self._desk),
        ):
            refuse_if_blocked(folder, self._clock)
            yield

    def note(self, text: str, at: float | None = None) -> bool:
        """Into the history of the run that is being made: what a person said, and at which
        monotonic second. False if there is none."""
        return self._desk.note(text, at)

    def _guard(self) -> Watchdog | NoGuard:
        """Whoever reverts if this process cannot; none for a stack that another process could not
        open."""
        if not isinstance(self._stack, AnyStack):
            return NoGuard()
        remember(self._stack)  # so that `heal` finds it without its file
        return Watchdog(self._stack) if self._options.watchdog else NoGuard("--no-watchdog: " + _NO)

    def _all(self, repeats: list[tuple[Planned, int]], result: SetResult) -> None:
        try:
            for number, (plan, _) in enumerate(repeats, 1):
                self._interrupts.check()
                done = self.one(plan, number, len(repeats), self._interrupts)
                result.runs.append(done)
                if done.verdict["exit_code"] == ExitCode.UNCLEAN or self._stops(done):
                    break
        finally:
            left = [plan.experiment.name for plan, _ in repeats[len(result.runs) :]]
            result.not_run = list(dict.fromkeys(left))

    def _stops(self, done: Done) -> bool:
        gate = self._options.gate
        return gate is not None and gate[0].on_fail == "stop" and done.verdict["verdict"] == "fail"

    def _repeats(self, experiment: Experiment) -> int:
        return self._options.repeat or experiment.repeat

    def _what(self, planned: Sequence[Planned]) -> str:
        names = ", ".join(p.experiment.name for p in planned[:3])
        return f"a run of {names}" + (" …" if len(planned) > 3 else "")

    def one(self, plan: Planned, number: int, of: int, interrupts: Interrupts) -> Done:
        """One run. ``interrupts`` end this one alone. Raises VqchaosError where it cannot begin,
        OSError where its folder cannot be written."""
        experiment = plan.experiment
        require_clean(self._stack, self._clock, self._progress.said)
        seed = experiment.seed if experiment.seed is not None else secrets.randbelow(2**31)
        folder = make_folder(self._options.out, experiment.name, self._clock.wall())
        self._progress.run_started(experiment.name, experiment.title, number, of)
        run = Run(
            experiment=experiment.model_copy(update={"seed": seed}),
            stack=self._stack,
            clock=self._clock,
            folder=folder,
            seed=seed,
            progress=self._progress,
            interrupts=interrupts,
            options=Options(
                keep_residue=self._options.keep_residue,
                golden=plan.golden,
                listener=self._options.listener,
            ),
            watchdog=self._watchdog,
        )
        self._desk.run = run
        try:
            run.execute()
        finally:
            self._desk.run = None
        if run.error is not None:
            logs = folder / "logs"
            logs.mkdir(exist_ok=True)
            write_text(logs / "error.txt", "".join(traceback.format_exception(run.error)))
        verdict = judge_folder(folder)
        self._progress.run_ended(verdict, folder)
        return Done(folder, verdict)

    def _summarise(self, result: SetResult, min_valid: int | None) -> None:
        skipped = [
            {"experiment": s.experiment, "source": str(s.source), "reason": s.reason}
            for s in result.skipped
        ]
        result.summary = judge_set(
            [(str(d.folder.name), d.verdict) for d in result.runs],
            skipped=skipped,
            min_valid=min_valid,
        )
        codes = [ExitCode(int(result.summary["exit_code"]))]
        if self._options.gate is not None:
            codes = self._gated(result, *self._options.gate)
        if result.error is not None:
            codes.append(result.error.exit_code)
        if self._interrupts.first is not None:
            codes.append(ExitCode(128 + self._interrupts.first))
        result.exit_code = worst(codes)
        result.summary["exit_code"] = int(result.exit_code)
        if self._options.label:
            result.summary["label"] = self._options.label
        if len(result.runs) + len(result.skipped) > 1 or self._options.gate is not None:
            self._write(result)

    def _write(self, result: SetResult) -> None:
        """What goes wrong here hides nothing of what was found."""
        try:
            result.folder = make_folder(self._options.out, "set", self._clock.wall())
            write_set(result.folder, result.summary, [d.verdict for d in result.runs])
        except (OSError, UsageError) as error:
            result.error = result.error or VqchaosError(f"the set's summary: {error}")
            result.exit_code = worst([result.exit_code, ExitCode.UNKNOWN])

    def _gated(self, result: SetResult, gate: Gate, file: Path) -> list[ExitCode]:
        """The gate's verdict instead of the set's; what is unclean or interrupted stays so."""
        result.summary["not_run"] = result.not_run
        found = judge_gate(gate, file, result.summary, [done.verdict for done in result.runs])
        result.summary["gate"] = found
        own = [ExitCode(int(done.verdict["exit_code"])) for done in result.runs]
        if not result.runs:
            found["verdict"] = worst_verdict([found["verdict"], "unknown"])
        return [CODES[found["verdict"]], *(c for c in own if c is ExitCode.UNCLEAN or c > 128)]


def of_the_disk(error: OSError, stack: Stack) -> VqchaosError:
    """A file could not be written; unclean if the ledger is not up to date."""
    where = f"{error.filename}: " if error.filename else ""
    text = f"{where}{error.strerror}"
    if Ledger(stack.state_dir).in_force():
        text += "; the ledger could not be brought up to date"
        return UncleanError(text, hint="make room, then `vqchaos heal`")
    return VqchaosError(text, hint="make room, or name another folder with --out")


def _min_valid(run: Sequence[Planned]) -> int | None:
    wanted = [p.experiment.min_valid for p in run if p.experiment.min_valid is not None]
    return max(wanted) if wanted else None
