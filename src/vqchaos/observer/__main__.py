"""``python -m vqchaos.observer``: one line of configuration on standard input, then commands."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import stat
import sys
import traceback
from pathlib import Path
from typing import Any

_LINE_LIMIT = 64 * 1024 * 1024
_FLUSH = 5.0
_NICE = -10


def main() -> int:
    """0 when it was stopped, or its runner is gone; 1 when it crashed; 2 without a pipe."""
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        sys.stderr.write("the observer is started by `vqchaos run`, which talks to it by a pipe\n")
        return 2
    # The terminal's Ctrl-C goes to everybody: only the runner decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    _ask_for_precedence()
    out = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not get between the events
    from vqchaos.observer.outbox import Outbox  # noqa: PLC0415 (after the signals are set)

    outbox = Outbox(out)
    error: BaseException | None = None
    try:
        error = asyncio.run(_observe(outbox))
    except Exception as crash:
        error = crash
    if error is not None:
        traceback.print_exception(error)  # to the log that the runner keeps
        message = f"{type(error).__name__}: {error}"
        outbox.put({"type": "observer.crashed", "error": message[:2000]})
    outbox.put({"type": "observer.stopped"})
    written = outbox.close(_FLUSH)
    return 0 if error is None and written else 1


def _ask_for_precedence() -> None:
    """Timers must not wait for the engine's threads where both share the cores. Only root may ask;
    without it the lag probe tells how late the timers were. The kernel ranks the process within
    its session's group, and the group against the others."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")


async def _observe(outbox: Any) -> BaseException | None:
    from vqchaos.load.client import Client  # noqa: PLC0415
    from vqchaos.load.generator import Issuer  # noqa: PLC0415
    from vqchaos.observer.config import Job  # noqa: PLC0415
    from vqchaos.observer.process import Observer  # noqa: PLC0415

    commands = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    try:
        first = await commands.readline()
        if not first:
            return None
        job = Job.loads(first)
        _tune()
        issue = Issuer()
        async with Client(
            origin=job.origin,
            headers=job.headers,
            ca_file=job.ca_file,
            replica_header=job.replica_header,
            issued=issue,
        ) as client:
            observer = Observer(job, outbox, client, issue)
            loop.add_signal_handler(signal.SIGTERM, observer.stop)
            return await observer.run(commands)
    finally:
        transport.close()


def _tune() -> None:
    """What costs accuracy: full collections over all modules, long turns of other threads, and a
    low limit on sockets."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    sys.setswitchinterval(0.0005)
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
