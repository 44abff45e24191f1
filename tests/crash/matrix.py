"""``make crash``: every way to die, at every step, for every fault family, on a real stack.

``python -m tests.crash.matrix [--family NAME]… [--way WORDS]…`` brings a stack of its own up, kills
runners on it, looks at the world before and after `vqchaos heal`, and writes what it saw to
``docs/crash-matrix.json`` and, as two tables, into ``docs/safety.md``, after each way to die. What
is not asked for keeps its figures. More than an hour on two cores; a start-up fault's death takes
half a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.crash.child import STEPS
from tests.crash.harness import PATIENCE, ROOT, Victim, settled
from tests.crash.places import CONTAINERS, EVERY, Place, places, vqchaos
from tests.live.test_undo_live import FAMILIES
from vqchaos.clock import RealClock, wait_until

CLOCK = RealClock()
RESULTS = ROOT / "docs" / "crash-matrix.json"
PAGE = ROOT / "docs" / "safety.md"
BEGIN, END = "<!-- make crash: begin -->\n", "<!-- make crash: end -->\n"
TIMES = 12  # with those of the other ways some 20 timed kills a family
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def by_signal(number: signal.Signals, step: str) -> Callable[[Place], None]:
    def way(place: Place) -> None:
        with place.at(step) as runner:
            runner.process.send_signal(number)
            runner.ends()

    return way


def by_kill(step: str) -> Callable[[Place], None]:
    def way(place: Place) -> None:
        with place.at(step) as runner:
            place.dies(runner)

    return way


def both_killed(place: Place) -> None:
    with place.at("hold") as runner:
        _kill_both(runner)


def _kill_both(runner: Victim) -> None:
    dog = runner.watchdog()
    assert dog is not None
    dog.kill()
    runner.process.kill()
    runner.process.wait(PATIENCE)


def ledger_lost(place: Place) -> None:
    """Then the next run's preflight, once the marks have expired."""
    with place.at("hold", env={"CRASH_LEASE": "0"}) as runner:
        _kill_both(runner)
        (place.stack.state_dir / "ledger.jsonl").unlink()
    until = CLOCK.wall() + 3.0
    assert wait_until(lambda: CLOCK.wall() > until, PATIENCE, CLOCK)
    with place.at("preflight") as runner:  # it swept before it came here
        runner.process.send_signal(signal.SIGTERM)
        runner.ends()


def toxiproxy_killed(place: Place) -> None:
    with place.at("hold") as runner:
        os.kill(_toxiproxy(place), signal.SIGKILL)
        runner.process.send_signal(signal.SIGTERM)
        runner.ends()


def toxiproxy_hung(place: Place) -> None:
    pid = _toxiproxy(place)
    try:
        with place.at("hold") as runner:
            os.kill(pid, signal.SIGSTOP)
            runner.process.send_signal(signal.SIGTERM)
            runner.ends()
    finally:
        with suppress(ProcessLookupError):  # it was restarted
            os.kill(pid, signal.SIGCONT)


def _toxiproxy(place: Place) -> int:
    pid: int | None = place.stack.supervisor.pid_of("toxiproxy")
    assert pid is not None
    return pid


def disk_full(step: str) -> Callable[[Place], None]:
    def way(place: Place) -> None:
        with place.at(step, env={"CRASH_DO": "disk-full"}) as runner:
            runner.process.send_signal(signal.SIGTERM)
            runner.ends()

    return way


def clock_back(place: Place) -> None:
    with place.at("hold", env={"CRASH_DO": "clock-back"}) as runner:
        place.dies(runner)


def two_runners(place: Place) -> None:
    with place.at("hold") as runner:
        folder = place.folder / f"{time.monotonic_ns()}"
        second = [sys.executable, "-m", "vqchaos", *place.words(folder)]
        done = subprocess.run([*second, "--out", str(folder)], capture_output=True, check=False)
        assert done.returncode == 3, done.stderr
        place.dies(runner)


def second_ctrl_c(place: Place) -> None:
    with place.at("hold") as runner:
        for _ in range(2):
            runner.process.send_signal(signal.SIGINT)
        runner.ends()


def terminal_closed(place: Place) -> None:
    near, far = pty.openpty()
    with place.at("hold", terminal=far) as runner:
        os.close(far)
        os.close(near)
        runner.ends()


def hung(place: Place) -> None:
    with place.at("hold") as runner:
        runner.process.send_signal(signal.SIGSTOP)
        vqchaos("abort", "--stack", str(place.stack.path))
        assert wait_until(lambda: settled(place.stack.state_dir), PATIENCE, CLOCK)


def file_deleted(place: Place) -> None:
    with place.at("hold") as runner:
        for path in runner.out.parent.glob("*.yaml"):
            path.unlink()
        place.dies(runner)


WAYS: dict[str, list[Callable[[Place], None]]] = {
    **{
        f"{n.name}, at each of {len(STEPS)} steps": [by_signal(n, s) for s in STEPS]
        for n in SIGNALS
    },
    f"SIGKILL, at each of {len(STEPS)} steps": [by_kill(step) for step in STEPS],
    "SIGKILL of runner and watchdog": [both_killed],
    "… and the ledger lost (next preflight)": [ledger_lost],
    "runner hangs (SIGSTOP), `abort`": [hung],
    "Toxiproxy killed, SIGTERM": [toxiproxy_killed],
    "Toxiproxy's API hung, SIGTERM": [toxiproxy_hung],
    "disk full at the ledger, at hold; SIGTERM": [disk_full("before-ledger"), disk_full("hold")],
    "clock set back a day, SIGKILL": [clock_back],
    "a second runner, then SIGKILL": [two_runners],
    "a second Ctrl-C": [second_ctrl_c],
    "terminal closed": [terminal_closed],
    "experiment deleted, SIGKILL": [file_deleted],
    f"SIGKILL at hold, {TIMES} times": [by_kill("hold")] * TIMES,
}
LOCAL = set(FAMILIES)
QUICK = {"network", "processes", CONTAINERS}  # deaths of seconds; a start takes half a minute
ONLY = {
    # A lost ledger leaves only marks, and the others have none: safety.md says what to do.
    "… and the ledger lost (next preflight)": {"network"},
    f"SIGKILL at hold, {TIMES} times": QUICK,
    "Toxiproxy killed, SIGTERM": LOCAL,  # containers have a fake one
    "Toxiproxy's API hung, SIGTERM": LOCAL,
}


Cell = dict[str, Any]


def cell(place: Place, ways: list[Callable[[Place], None]]) -> Cell:
    """How many times it died, how many effects were there before `heal` and after it, and how long
    its watchdog took, in seconds."""
    before = after = 0
    place.times.clear()
    for way in ways:
        place.ready()
        way(place)
        before += len(place.effects())
        place.heal()
        after += len(place.effects())
    return {"deaths": len(ways), "before": before, "after": after, "times": list(place.times)}


def table(results: dict[str, dict[str, Cell]]) -> str:
    """Ways down, families across: what was left before `heal` → after it."""
    families = [family for family in EVERY if family in results]
    lines = ["| way to die | " + " | ".join(families) + " |", "|---|" + "---|" * len(families)]
    for way in WAYS:
        cells = []
        for family in families:
            found = results[family].get(way)
            cells.append(f"{found['before']} → {found['after']}" if found else "-")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    deaths = sum(c["deaths"] for ways in results.values() for c in ways.values())
    return "\n".join(lines) + f"\n\n{deaths} deaths in all.\n\n" + times_table(results)


def times_table(results: dict[str, dict[str, Cell]]) -> str:
    """How long the watchdog took, over every SIGKILL that met an effect in force."""
    lines = ["| from SIGKILL to every effect gone | kills | median | worst |", "|---|---|---|---|"]
    every: list[float] = []
    for family, ways in results.items():
        times = [t for cell in ways.values() for t in cell["times"]]
        every += times
        if times:
            lines.append(_times_row(family, times))
    return "\n".join([*lines, _times_row("all", every)] if every else lines) + "\n"


def _times_row(name: str, times: list[float]) -> str:
    return f"| {name} | {len(times)} | {statistics.median(times):.2f} s | {max(times):.2f} s |"


def write(known: dict[str, dict[str, Cell]]) -> None:
    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(head + BEGIN + table(known) + END + rest.partition(END)[2], "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=EVERY)
    parser.add_argument("--way", action="append", default=[], help="words of the ways to die")
    asked = parser.parse_args()
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    broken = 0
    # Entered first, left last: the stack goes down while its state is there.
    with tempfile.TemporaryDirectory(prefix="crash-") as folder, ExitStack() as stack_of:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        for place in places(asked.family or EVERY, Path(folder), stack_of):
            family = place.family
            for name, ways in WAYS.items():
                if family not in ONLY.get(name, {family}):
                    continue
                if asked.way and not any(words in name for words in asked.way):
                    continue
                began = time.monotonic()
                try:
                    found = cell(place, ways)
                except Exception:  # the other ways are worth knowing all the same
                    broken += 1
                    traceback.print_exc()
                    continue
                known.setdefault(family, {})[name] = found
                took = time.monotonic() - began
                sys.stderr.write(f"{family}: {name}: {found} ({took:.0f} s)\n")
                write(known)
    worst = max((c["after"] for ways in known.values() for c in ways.values()), default=0)
    return 1 if worst or broken else 0


if __name__ == "__main__":
    sys.exit(main())
