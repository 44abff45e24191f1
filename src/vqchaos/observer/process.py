"""The observer process: all load and all probes on one event loop, events out as JSON lines."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from vqchaos.history.coding import encode
from vqchaos.history.events import LOADED, CanaryProbe, Event, Request
from vqchaos.load.client import PATHS, Call, Client, Flight
from vqchaos.load.generator import Generator, Issuer
from vqchaos.observer.config import CANARY_DEADLINE, Job
from vqchaos.observer.outbox import Outbox
from vqchaos.probes import pilot
from vqchaos.probes.canary import CanaryProbes
from vqchaos.probes.containers import ContainerWatch
from vqchaos.probes.health import HealthWatch
from vqchaos.probes.lag import LagWatch
from vqchaos.probes.metrics import MetricsWatch
from vqchaos.probes.pilot import Pilot
from vqchaos.probes.processes import ProcessWatch
from vqchaos.probes.protocols import Question, Ticker
from vqchaos.probes.router import RouterWatch

STATUS_INTERVAL = 0.1
TOKEN_DEADLINE = 30.0


class Observer:
    """Runs one job until told to stop. Lives inside a running event loop."""

    def __init__(self, job: Job, outbox: Outbox, client: Client, issue: Issuer) -> None:
        self._job = job
        self._outbox = outbox
        self._client = client
        self._issue = issue
        self._stopping = asyncio.Event()
        self._error: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._quieting: asyncio.Task[None] | None = None  # the drain or canary under way
        self._loads = [
            Generator(
                plan,
                seed=job.seed,
                client=client,
                issue=issue,
                emit=self._emit,
                crashed=self._crashed,
            )
            for plan in job.plans
        ]
        self._pilot = Pilot(
            base_url=job.direct_url,
            model=job.model,
            interval=job.pilot_interval,
            deadline=job.pilot_deadline,
            ask=self._ask,
            emit=self._emit,
            now=self._now,
            crashed=self._crashed,
        )
        self._canary = CanaryProbes(
            job.canaries,
            model=job.model,
            deadline=CANARY_DEADLINE,
            ask=self._ask,
            emit=self._emit,
            now=self._now,
        )
        self._lag = LagWatch(emit=self._emit, now=self._now)

    # ------------------------------------------------------------ life

    async def run(self, commands: asyncio.StreamReader) -> BaseException | None:
        """Until stopped, or until the runner is gone; returns the error that ended it, if any."""
        job, get = self._job, self._client.get
        self._spawn(self._lag.run())
        self._spawn(self._report_status())
        self._spawn(self._pilot.run())
        self._spawn(
            HealthWatch(
                url=job.health_url,
                interval=job.health_interval,
                timeout=job.health_timeout,
                get=get,
                emit=self._emit,
                now=self._now,
                crashed=self._crashed,
            ).run()
        )
        metrics = MetricsWatch(
            url=job.metrics_url,
            interval=job.metrics_interval,
            get=get,
            emit=self._emit,
            now=self._now,
        )
        self._spawn(metrics.run())
        if job.launcher_events is not None:
            processes = ProcessWatch(
                events=job.launcher_events,
                interval=job.processes_interval,
                origin=job.origin,
                emit=self._emit,
            )
            self._spawn(processes.run())
        if job.router_stats is not None:
            router = RouterWatch(url=job.router_stats, get=get, emit=self._emit, now=self._now)
            self._spawn(router.run())
        if job.docker is not None:
            watch = ContainerWatch(job.docker, origin=job.origin, emit=self._emit)
            self._spawn(watch.run())
        self._spawn(self._listen(commands))
        self._say("ready")
        await self._stopping.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(load.cancel() for load in self._loads), self._pilot.cancel())
        while self._tasks:  # a canary that was under way still says that it was cancelled
            await asyncio.wait(list(self._tasks))
        self._lag.flush()
        return self._error

    def stop(self) -> None:
        """End what is in flight as cancelled, say everything, return from ``run``."""
        self._stopping.set()

    async def _listen(self, commands: asyncio.StreamReader) -> None:
        while line := await commands.readline():
            try:
                self._obey(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise RuntimeError(f"not a command: {line[:200]!r}: {error}") from error
        self._stopping.set()  # end of file: the runner died

    def _obey(self, command: dict[str, Any]) -> None:
        cmd = command["cmd"]
        if cmd in ("start_load", "resume"):
            self._stop_quieting()
            for load in self._loads:
                load.resume()
        elif cmd == "pause":
            self._pause()
        elif cmd == "drain":
            self._quiet_then(self._drain)
        elif cmd == "canary":
            moment, url = str(command["moment"]), self._url(command)
            self._quiet_then(lambda: self._run_canary(moment, url))
        elif cmd == "canary_under_load":
            self._spawn(self._ask_canaries(LOADED, self._url(command)))
        elif cmd == "baseline_over":
            self._pilot.baseline_over()
        elif cmd == "pilot_once":
            deadline = float(command.get("deadline", TOKEN_DEADLINE))
            self._spawn(self._token(int(command.get("n", 0)), deadline, self._url(command)))
        elif cmd == "stop":
            self._stopping.set()
        else:
            raise ValueError(f"unknown command {cmd!r}")
        self._status()

    # ------------------------------------------------------------ quiet

    def _pause(self) -> None:
        for load in self._loads:
            load.pause()

    def _quiet_then(self, what: Callable[[], Awaitable[None]]) -> None:
        self._stop_quieting()
        self._pause()
        self._quieting = self._spawn(what())

    def _stop_quieting(self) -> None:
        """A resume, or another drain or canary, ends one that is under way."""
        if self._quieting is not None:
            self._quieting.cancel()
            self._quieting = None

    async def _drain(self) -> None:
        await self._loads_quiet()
        self._status()  # first, so that who waits for the word sees nothing in flight
        self._say("drained")

    async def _loads_quiet(self) -> None:
        for load in self._loads:
            await load.quiet()

    def _url(self, command: dict[str, Any]) -> str:
        """Whom a command asks: one server alone, the target directly, or as clients do."""
        direct = self._job.direct_url if command.get("direct") else self._job.client_url
        return str(command.get("url") or direct)

    async def _run_canary(self, moment: str, url: str) -> None:
        self._pilot.hold()
        try:
            await self._loads_quiet()
            await self._pilot.quiet()
        except BaseException:
            self._canary_over(moment, ok=False)
            raise
        await self._ask_canaries(moment, url)

    async def _ask_canaries(self, moment: str, url: str) -> None:
        ok = False
        try:
            ok = await self._canary.run(moment, url)
        finally:
            self._canary_over(moment, ok=ok)

    def _canary_over(self, moment: str, *, ok: bool) -> None:
        if moment != LOADED:
            self._pilot.release()
        self._status()
        self._say("canary_done", moment=moment, ok=ok)

    # ------------------------------------------------------------ asking

    async def _ask(self, question: Question) -> tuple[Request, Any]:
        call = Call(
            workload=question.workload,
            id=self._issue(),
            api=question.api,
            url=question.base_url + PATHS[question.api],
            body=json.dumps(question.body).encode(),
            stream=False,
            due=question.due + self._job.origin,
            deadline=question.deadline,
        )
        return await self._client.send(Flight(call))

    async def _token(self, number: int, deadline: float, url: str) -> None:
        job = self._job
        question = Question(
            workload="token",
            api="completions",
            base_url=url,
            body=pilot.body(job.model),
            due=self._now(),
            deadline=deadline,
        )
        request, _ = await self._ask(question)
        self._say(
            "token",
            n=number,
            ok=request.outcome == "ok",
            outcome=request.outcome,
            detail=request.detail,
        )

    # ------------------------------------------------------------ out

    def _now(self) -> float:
        return time.monotonic() - self._job.origin

    def _emit(self, event: Event) -> None:
        if isinstance(event, CanaryProbe):
            redact = self._client.redact
            event = dataclasses.replace(event, text=redact(event.text), detail=redact(event.detail))
        self._outbox.put(encode(event))

    def _say(self, what: str, **fields: Any) -> None:
        """A control line: for the runner, not for the history."""
        self._outbox.put({"type": f"observer.{what}", **fields})

    def _status(self) -> None:
        self._say(
            "status",
            t=round(self._now(), 4),
            in_flight=sum(load.in_flight for load in self._loads),
            flights={load.name: load.in_flight for load in self._loads},
            streaming=sum(load.streaming for load in self._loads),
            paused=not any(load.running for load in self._loads),
        )

    async def _report_status(self) -> None:
        ticker = Ticker(STATUS_INTERVAL)
        while True:
            self._status()
            if self._outbox.broken.is_set():
                self._stopping.set()  # nobody reads: the runner died
            await ticker.tick()

    # ------------------------------------------------------------ tasks

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)

    def _crashed(self, error: BaseException) -> None:
        """A probe that is blind makes the history incomplete: end, and say so."""
        self._error = self._error or error
        self._stopping.set()
