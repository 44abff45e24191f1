from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vqchaos.clock import ManualClock
from vqchaos.errors import StackLocked
from vqchaos.runner.lock import holder, stack_lock


def test_a_second_run_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    clock = ManualClock()
    with stack_lock(tmp_path, "a run of engine-kill", clock):
        clock.advance(90)
        with pytest.raises(StackLocked) as caught, stack_lock(tmp_path, "another", clock):
            pass
        assert "a run of engine-kill" in caught.value.message
        assert "1m30s" in caught.value.message
        found = holder(tmp_path)
        assert found is not None
        assert found["what"] == "a run of engine-kill"
    assert holder(tmp_path) is None
    with stack_lock(tmp_path, "afterwards", clock):
        pass


def test_the_kernel_frees_the_lock_of_a_killed_holder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from vqchaos.clock import RealClock\n"
        "from vqchaos.runner.lock import stack_lock\n"
        "with stack_lock(pathlib.Path(sys.argv[1]), 'a child', RealClock()):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "held\n"
    found = holder(tmp_path)
    assert found is not None
    assert found["pid"] == child.pid
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert holder(tmp_path) is None


def test_nobody_holds_a_stack_that_never_was(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None
