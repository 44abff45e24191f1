"""One repetition of one experiment, from the lock to the verdict."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from vqchaos import __version__
from vqchaos.clock import Clock
from vqchaos.errors import FaultError, Interrupted, VqchaosError
from vqchaos.experiment.model import Experiment
from vqchaos.faults.base import require_few
from vqchaos.history.events import (
    Event,
    Leftovers,
    Note,
    PhaseEnded,
    PhaseStarted,
    Residue,
    RunEnded,
    RunStarted,
)
from vqchaos.ledger import Ledger
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.recovery import RecoveryWatch
from vqchaos.runner.comparison import Comparison, unnamed
from vqchaos.runner.folder import write_experiment, write_json
from vqchaos.runner.injection import Injection, Injector
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.leftovers import leftovers
from vqchaos.runner.logs import keep_logs
from vqchaos.runner.progress import Progress
from vqchaos.runner.recorder import Recorder
from vqchaos.runner.rotation_watch import RotationWatch
from vqchaos.runner.stop_conditions import StopConditionMet, StopWatch
from vqchaos.runner.timeline import STREAM_WAIT, FaultPhase, injections
from vqchaos.runner.watchdog import Guard, NoGuard
from vqchaos.stack.protocols import Item, Stack
from vqchaos.view import RunView
from vqchaos.view.validity import baseline_problems

CANARY_TIMEOUT = 60.0
LEASE_MARGIN = 120.0  # seconds a run may take beyond its phases before its faults are overdue


def lease(experiment: Experiment) -> float:
    """Seconds after its injection when every fault of a run must be gone, whatever happened."""
    phases = experiment.phases
    return phases.fault + phases.recovery + _faults_take(experiment) + LEASE_MARGIN


def _faults_take(experiment: Experiment) -> float:
    return sum(
        item.fault.longest() + (STREAM_WAIT if item.fault.cuts_streams else 0.0)
        for item in injections(experiment)
    )


class VoidRun(VqchaosError):
    """The run cannot show anything; nothing was injected, or the injection failed."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is made, beside its experiment."""

    keep_residue: bool = False
    golden: Path | None = None  # reference answers of the canary, resolved
    listener: Callable[[Event], None] | None = None  # hears each event; must not raise or wait


@dataclass
class Run:
    """One run in its folder. ``execute`` never raises for what goes wrong in the world: it is in
    the history, and the judge reads it there."""

    experiment: Experiment
    stack: Stack
    clock: Clock
    folder: Path
    seed: int
    progress: Progress
    interrupts: Interrupts
    options: Options = field(default_factory=Options)
    watchdog: Guard = field(default_factory=NoGuard)
    recorder: Recorder | None = None  # while it runs
    error: Exception | None = None  # an error of vqchaos itself, for the log
    _started: float = 0.0  # Unix seconds

    def execute(self) -> None:
        """From preflight to the last event. The caller holds the stack's lock."""
        ledger = Ledger(self.stack.state_dir)
        write_experiment(self.folder, self.experiment)
        write_json(self.folder / "stack.json", self.stack.describe())
        rec = Recorder(self.folder / "history.jsonl", self.clock, self.interrupts, self.progress)
        if self.options.listener is not None:
            rec.listeners.append(self.options.listener)
        self.recorder = rec
        self.watchdog.run_begins(self.folder, self._longest())
        self._started = self.clock.wall()
        try:
            rec.emit(
                RunStarted(
                    t=0.0,
                    vqchaos_version=__version__,
                    run=self.folder.name,
                    experiment=self.experiment.name,
                    stack=self.stack.name,
                    seed=self.seed,
                    started_wall=self._started,
                    started_mono=rec.origin,
                )
            )
            self._observed(rec, ledger)
        finally:
            self.recorder = None
            self.watchdog.run_over()
            rec.close()

    def _longest(self) -> float:
        """Seconds after which a run that is not over hangs: its phases, recovery twice (relapse),
        three canaries, what each fault may take, and a margin."""
        phases = self.experiment.phases
        steady = phases.warmup + phases.baseline + phases.fault + phases.settle
        faults = _faults_take(self.experiment)
        return steady + 2 * phases.recovery + 3 * CANARY_TIMEOUT + faults + LEASE_MARGIN

    def _observed(self, rec: Recorder, ledger: Ledger) -> None:
        how, why, signum = "completed", "", None
        ending: BaseException | None = None
        stop = StopWatch(self.experiment.abort_when, rec.t, lambda: observer.status.flights)
        rec.listeners.append(stop.add)
        rec.guard = stop.check
        observer = ObserverLink(self._observer_config(rec), rec.emit, rec.check)
        rec.in_flight = lambda: observer.status.in_flight
        stages = Stages(self, rec, observer, ledger, stop)
        try:
            observer.start()
            stages.all()
        except Interrupted as error:
            how, why, signum = "interrupted", str(error), error.signum
        except VoidRun as error:
            how, why = "void", str(error)
        except StopConditionMet as error:
            how, why = "stopped", str(error)
            rec.progress.said(f"stopped: {why}: reverting every fault", rec.t())
        except Exception as error:
            how, why = "error", f"{type(error).__name__}: {error}"
            self.error = error
        except BaseException as error:  # whatever ends this process: the undo comes first
            how, why = "error", type(error).__name__
            ending = error
        rec.guard = lambda: None  # what comes now is the undo
        with rec.interrupts.shield():
            try:
                stages.clean_up()
                observer.stop(timeout=10.0)
                for remark in keep_logs(self.stack, self.folder, self._started):
                    rec.emit(Note(t=rec.t(), text=remark))
            except Exception as error:
                how, why = "error", f"{type(error).__name__}: {error}"
                self.error = self.error or error
            rec.emit(RunEnded(t=rec.t(), how=how, why=why, signal=signum))
        if ending is not None:
            raise ending

    def _observer_config(self, rec: Recorder) -> ObserverConfig:
        return ObserverConfig(
            origin=rec.origin,
            endpoints=self.stack.endpoints,
            workloads=self.experiment.traffic(),
            settings=self.experiment.observer,
            seed=self.seed,
            golden=self.options.golden,
            canary=self.experiment.canary.enabled,
            sources=self.stack.probe_sources(),
        )


class Stages:
    """The stages of MEASURE's run, in order."""

    def __init__(
        self,
        run: Run,
        rec: Recorder,
        observer: ObserverLink,
        ledger: Ledger,
        stop: StopWatch,
    ) -> None:
        self._run = run
        self._rec = rec
        self._observer = observer
        self._stop = stop
        self._ledger = ledger
        self._experiment = run.experiment
        self._items = injections(run.experiment)
        self._baseline: list[Event] = []
        self._rotation = RotationWatch(run.experiment)
        self._comparison = Comparison(run.stack, rec)
        me = psutil.Process()
        self._injector = Injector(
            run.stack,
            ledger,
            rec,
            run=run.folder,
            seed=run.seed,
            lease=lease(run.experiment),
            max_targets=run.experiment.max_targets,
        ).owned_by(os.getpid(), me.create_time())

    def all(self) -> None:
        phases = self._experiment.phases
        rec, observer = self._rec, self._observer
        keep = self._baseline.append
        rec.listeners += [keep, self._rotation.add]
        self._comparison.begin()
        self._preflight()
        observer.start_load()
        self._stop.load_begins()
        self._phase("warmup", phases.warmup)
        self._canary("baseline")
        observer.resume()
        self._phase("baseline", phases.baseline)
        observer.baseline_over()
        self._require_steady()
        rec.emit(Note(t=rec.t(), text=self._run.watchdog.ensure()))
        with rec.lock:  # no event falls between the watch's past and its future
            watch = RecoveryWatch(self._experiment, self._baseline)
            rec.watch(watch.add, instead_of=keep)
            self._baseline = []
        self._fault_phase()
        self._recovery(watch)
        self._settle(watch)
        self._canary("final")

    def _preflight(self) -> None:
        rec = self._rec
        rec.begin_phase("preflight", None)
        if not self._observer.token(direct=False, timeout=10.0):
            raise VoidRun(
                "preflight failed: no token came back through "
                f"{self._run.stack.endpoints.client_url} (is the stack up? `vqchaos status`)"
            )
        for item in self._items:  # a target that is not there is told before anything is injected
            try:
                require_few(item.fault, self._run.stack, self._experiment.max_targets)
                item.fault.plan(self._run.stack)
            except VqchaosError as error:
                raise VoidRun(f"preflight failed: {item.name}: {error}") from error

    def _phase(self, name: str, seconds: float, body: Callable[[], str] | None = None) -> None:
        """Events and the live view around ``body``; without one the phase just lasts."""
        rec = self._rec
        rec.emit(PhaseStarted(t=rec.t(), phase=name))
        rec.begin_phase(name, seconds)
        why = "cut short"
        try:
            if body is None:
                rec.sleep(seconds)
                why = "time is up"
            else:
                why = body()
        finally:
            rec.emit(PhaseEnded(t=rec.t(), phase=name, why=why))

    def _canary(self, moment: str) -> None:
        if self._experiment.canary.enabled:
            self._rec.begin_phase(f"canary ({moment})", None)
            self._observer.canary(moment, timeout=CANARY_TIMEOUT, direct=False)

    def _require_steady(self) -> None:
        """Nothing is injected into a stack that is already sick."""
        problems = baseline_problems(RunView(list(self._baseline), self._experiment))
        if problems:
            raise VoidRun("the baseline was not steady: " + "; ".join(problems))

    def _fault_phase(self) -> None:
        phase = FaultPhase(
            self._experiment,
            self._run.stack,
            self._rec,
            self._observer,
            self._injector,
        )
        try:
            self._phase("fault", self._experiment.phases.fault, lambda: phase.run(self._items))
        except FaultError as error:
            raise VoidRun(str(error)) from error

    def _recovery(self, watch: RecoveryWatch) -> None:
        limit = self._experiment.phases.recovery

        def body() -> str:
            self._revert_all()
            self._observer.resume()
            until = self._rec.t() + limit
            if not self._rec.wait(lambda: watch.recovered_at is not None, limit):
                return "not recovered in time"
            if self._rotation.whole():
                return "recovered"
            self._rec.progress.said(
                "waiting until the router has every replica back", self._rec.t()
            )
            if self._rec.wait(self._rotation.whole, max(0.0, until - self._rec.t())):
                return "recovered, and the router has every replica back"
            return "recovered, but the router has not every replica back"

        self._phase("recovery", limit, body)

    def _settle(self, watch: RecoveryWatch) -> None:
        """Watch for relapse; a relapse gets the recovery limit once more to come back."""
        phases = self._experiment.phases

        def body() -> str:
            until = self._rec.t() + phases.settle
            if self._experiment.canary.enabled and self._experiment.canary.under_load:
                self._observer.canary_under_load(timeout=CANARY_TIMEOUT)
            self._rec.sleep(max(0.0, until - self._rec.t()))
            if watch.recovered_at is None:
                self._rec.wait(lambda: watch.recovered_at is not None, phases.recovery)
            return "time is up"

        if watch.recovered_at is not None:
            self._phase("settle", phases.settle, body)

    def _revert_all(self) -> None:
        for item in reversed(self._items):
            self._injector.revert(item)

    def clean_up(self) -> None:
        """Whatever happened: everything reverted, then what is left is looked for and named."""
        rec, stack = self._rec, self._run.stack
        if rec.interrupts.first is not None:
            rec.progress.said("interrupted: reverting every fault", rec.t())
        self._revert_all()
        items = leftovers(stack, self._ledger, tokens(self._items))
        ours, theirs = self._comparison.differences()
        items += unnamed(ours, items)
        rec.emit(Leftovers(t=rec.t(), items=[as_dict(item) for item in items]))
        residue = stack.residue()
        every = residue + unnamed(theirs, residue)
        rec.emit(Residue(t=rec.t(), items=[as_dict(item) for item in every]))
        if residue and not self._run.options.keep_residue:
            left = stack.remove_residue()
            text = f"residue removed: {len(residue) - len(left)} of {len(residue)}"
            rec.emit(Note(t=rec.t(), text=text))
        if rec.interrupts.first is not None:
            clean = not items and not any(item.in_force for item in self._items)
            rec.progress.said(
                "everything is reverted" if clean else "NOT everything could be reverted", rec.t()
            )


def tokens(items: list[Injection]) -> set[str]:
    """The tokens of the faults that were begun."""
    return {
        str(item.entry.state["token"])
        for item in items
        if item.entry is not None and "token" in item.entry.state
    }


def as_dict(item: Item) -> dict[str, str]:
    return {"kind": item.kind, "name": item.name, "detail": item.detail}
