"""What comes from the target is data, secrets are nowhere, and nobody else reads what a run keeps.

A whole run as a user makes it: the command line, a real observer and a real watchdog.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest
import yaml

from tests.crash.conftest import Place
from tests.crash.harness import PATIENCE, ROOT, victim
from tests.crash.test_crash import LAST
from tests.report.verdicts import NASTY
from vqchaos.clock import RealClock
from vqchaos.errors import ExitCode

pytestmark = pytest.mark.crash
SECRET = "sk-veryverysecret"
RAW = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]")


def hostile(folder: Path) -> str:
    """Text that would do something, were it ever more than data."""
    return (
        f"{NASTY} $(touch {folder}/shell) `touch {folder}/ticks`; touch {folder}/semicolon ../../up"
    )


def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vqchaos", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **env},
    )


def files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_text_from_the_target_stays_data(place: Place) -> None:
    place.http.says = hostile(place.folder)
    toxics = place.toxiproxy.proxies["vllm"]["toxics"]
    toxics.append({**toxics[0], "name": f"theirs {NASTY}"})
    before = set(place.folder.iterdir())
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        place.http.behaviour = "hostile"  # every answer from here on
        runner.ends()
        said = "".join(runner.process.communicate())
    assert not RAW.search(said), "a control character reached the terminal"
    assert set(place.folder.iterdir()) - before <= {place.out, place.folder / "state"}
    [folder] = place.out.iterdir()
    assert "red" in (folder / "history.jsonl").read_text(encoding="utf-8"), "the text was met"
    for path in files(folder):
        assert not RAW.search(path.read_text(encoding="utf-8")), path.name
    ET.parse(folder / "junit.xml")
    assert json.loads((folder / "verdict.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("words", [("heal",), ("heal", "--dry-run"), ("run",)], ids=" ".join)
def test_a_hostile_mark_is_shown_as_data_and_told_by_its_name(
    place: Place, words: tuple[str, ...]
) -> None:
    run = f"{NASTY}$(touch${{IFS}}{place.folder}/shell)".replace(" ", "").replace(".", "")
    toxics = place.toxiproxy.proxies["vllm"]["toxics"]
    name = f"vqchaos.{run}.0.{int(RealClock().wall()) + 600}"
    toxics.append({**toxics[0], "name": name})
    if words == ("run",):
        done = call(*place.words, "--out", str(place.out))
    else:
        done = call(*words, "--stack", str(place.stack_file))
    assert done.returncode == ExitCode.UNCLEAN, done.stderr
    assert "red" in done.stdout + done.stderr
    assert not RAW.search(done.stdout + done.stderr)
    assert not (place.folder / "shell").exists()
    assert place.effects() == [f"toxic {name}"]


def test_a_secret_is_in_no_file_on_no_screen_and_on_no_command_line(place: Place) -> None:
    stack = yaml.safe_load(place.stack_file.read_text(encoding="utf-8"))
    place.stack_file.write_text(yaml.safe_dump({**stack, "api_key_env": "CHAOS_KEY"}))
    place.http.behaviour = "ok"
    env = {"CHAOS_KEY": SECRET}
    with victim("hold", place.words, place.out, nth=LAST, env=env) as runner:
        runner.await_step()
        dog = runner.watchdog()
        assert dog is not None
        assert SECRET in "".join(h.get("authorization", "") for h in place.http.headers_seen)
        lines = command_lines()
        assert any("watchdog_process" in line for line in lines), "the look sees all of them"
        assert not any(SECRET in line for line in lines)
        place.http.behaviour = "echo-secret"  # the target says it back in each answer
        runner.process.send_signal(signal.SIGTERM)
        runner.ends()
        said = "".join(runner.process.communicate())
        assert SECRET not in said
    every = files(place.out, place.folder / "state")
    assert {"ledger.jsonl", "history.jsonl", "watchdog.log"} & {path.name for path in every}
    assert [path for path in every if SECRET.encode() in path.read_bytes()] == []


def command_lines() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


def test_nobody_else_reads_a_run_or_its_state(place: Place) -> None:
    os.umask(0o022)
    with victim("hold", place.words, place.out, nth=LAST) as runner:
        runner.await_step()
        state = place.state
        assert (state / "ledger.jsonl").exists()
        check_modes(state)
        check_modes(runner.folder)
        runner.ends()
        check_modes(runner.folder)


def check_modes(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    open_to_others = [
        f"{path.name} {path.stat().st_mode & 0o777:o}"
        for path in folder.rglob("*")
        if path.name in ("ledger.jsonl", "history.jsonl", "control.sock", "watchdog.log", "lock")
        and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []
