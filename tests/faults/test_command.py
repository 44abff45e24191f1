from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from tests.fakes import FakeWorld
from tests.faults.samples import ticket
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import FaultError
from vqchaos.faults.command import Command
from vqchaos.stack.environ import TOKEN_VARIABLE, carriers


def command(**settings: Any) -> Command:
    base = {"type": "command", "inject": ["true"], "revert": ["true"]}
    return Command.model_validate({**base, **settings})


def sleeper(seconds: float, note: Path) -> str:
    """Shell words that start a child which notes its PID and sleeps."""
    code = f"import os,time; open({str(note)!r},'w').write(str(os.getpid())); time.sleep({seconds})"
    return f"{shlex.quote(sys.executable)} -I -S -c {shlex.quote(code)}"


def pid_in(note: Path) -> int:
    assert wait_until(lambda: note.exists() and bool(note.read_text()), 5.0, RealClock())
    return int(note.read_text())


def test_what_an_inject_left_running_is_ended_before_the_undo(
    world: FakeWorld, tmp_path: Path
) -> None:
    """Also the child of an inject whose runner was killed: it would act after the undo."""
    late = tmp_path / "late"
    acts = f"import pathlib, sys; sys.stdin.read(); pathlib.Path({str(late)!r}).touch()"
    script = tmp_path / "inject.sh"
    script.write_text(f'mkfifo {tmp_path}/gate; {sys.executable} -c "{acts}" < {tmp_path}/gate &\n')
    fault = command(inject=["sh", str(script)], revert=["true"])
    state = fault.capture(world, ticket(token="undo0001"))
    fault.inject(world, state, lambda: None)
    assert wait_until(lambda: any(carriers(TOKEN_VARIABLE, {"undo0001"})), 5.0, RealClock())
    Command.revert(world, state)
    assert list(carriers(TOKEN_VARIABLE, {"undo0001"})) == []
    assert not late.exists()


def test_words_are_never_a_shells(world: FakeWorld, tmp_path: Path) -> None:
    odd = tmp_path / "a b; $(touch x) *"
    fault = command(inject=["touch", str(odd)], revert=["rm", "-f", str(odd)])
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    assert odd.exists()
    Command.revert(world, state)
    assert not odd.exists()
    assert not (tmp_path / "x").exists()


def test_a_failed_inject_says_code_and_output(world: FakeWorld) -> None:
    fault = command(inject=["sh", "-c", "echo out; echo no such disk >&2; exit 7"])
    with pytest.raises(FaultError, match="`sh` exited 7: out no such disk"):
        fault.inject(world, fault.capture(world, ticket()), lambda: None)


def test_a_missing_program(world: FakeWorld) -> None:
    fault = command(inject=["no-such-program-here"])
    with pytest.raises(FaultError, match="`no-such-program-here` cannot be run: No such file"):
        fault.inject(world, fault.capture(world, ticket()), lambda: None)


def test_a_word_that_no_program_can_be_given(world: FakeWorld) -> None:
    fault = command(inject=["echo", "a\0b"])
    with pytest.raises(FaultError, match="`echo` cannot be run: embedded null byte"):
        fault.inject(world, fault.capture(world, ticket()), lambda: None)


def test_a_timeout_ends_the_command_and_its_children(world: FakeWorld, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    fault = command(inject=["sh", "-c", f"{sleeper(30, note)}; true"], timeout="500ms")
    with pytest.raises(FaultError, match="`sh` did not end within 500ms"):
        fault.inject(world, fault.capture(world, ticket()), lambda: None)
    if note.exists():  # else it had not even begun
        pid = pid_in(note)
        assert wait_until(
            lambda: (
                not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
            ),
            5.0,
            RealClock(),
        )


def test_what_runs_in_the_background_neither_delays_nor_dies(
    world: FakeWorld, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    fault = command(inject=["sh", "-c", f"{sleeper(20, note)} & echo started"], timeout="10s")
    clock = RealClock()
    began = clock.now()
    fault.inject(world, fault.capture(world, ticket()), lambda: None)
    assert clock.now() - began < 8, "it waited for the one that holds its output"
    process = psutil.Process(pid_in(note))
    assert process.is_running()
    process.kill()


def test_a_failed_revert_is_an_error(world: FakeWorld) -> None:
    fault = command(revert=["sh", "-c", "echo still mounted; exit 32"])
    state = fault.capture(world, ticket())
    with pytest.raises(FaultError, match="revert exited 32: still mounted"):
        Command.revert(world, state)
    assert Command.manual(state) == ["sh -c echo still mounted; exit 32"]


def test_verify_goes_both_ways(world: FakeWorld, tmp_path: Path) -> None:
    there = tmp_path / "there"
    fault = command(verify=["test", "-e", str(there)])
    state = fault.capture(world, ticket())
    assert fault.verify(world, state).answer == "no"
    assert Command.verify_undone(world, state).answer == "yes"
    there.touch()
    assert fault.verify(world, state).answer == "yes"
    assert Command.verify_undone(world, state).answer == "no"


def test_without_verify_nobody_can_tell(world: FakeWorld) -> None:
    fault = command()
    state = fault.capture(world, ticket())
    assert fault.verify(world, state).answer == "none"
    assert Command.verify_undone(world, state).answer == "none"


def test_an_instant_command_has_no_undo(world: FakeWorld) -> None:
    fault = Command.model_validate({"type": "command", "inject": ["true"], "held": False})
    state = fault.capture(world, ticket())
    assert not fault.is_held
    assert "undo: none" in fault.plan(world)[1]
    assert "no undo" in Command.revert(world, state)
    assert Command.verify_undone(world, state).answer == "none"
    assert Command.manual(state) == []


def test_output_is_data_of_bounded_length(world: FakeWorld) -> None:
    said = "print('\\x1b[31mred' + 'x' * 100000 + '\\n\\nend')"
    fault = command(revert=[sys.executable, "-I", "-S", "-c", said])
    note = Command.revert(world, fault.capture(world, ticket()))
    assert len(note) == 400
    assert note.endswith("x end")
    assert "\x1b" not in note


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"revert": None}, "a held command needs `revert`; or say `held: false`"),
        ({"inject": []}, "at least 1 item"),
        ({"inject": "rm -rf x"}, "valid list"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"timeout": "11m"}, "less than or equal to 600"),
    ],
)
def test_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        command(**settings)
