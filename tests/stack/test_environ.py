from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vqchaos.stack.environ import carriers, variable


def test_a_title_that_was_written_over_the_first_variables_hides_no_mark(tmp_path: Path) -> None:
    """As the kernel shows a process after it gave itself a title."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "environ").write_bytes(b"Worker\0\0\0\0ME=/x\0MARK=abc\0LAST=1\0")
    assert variable(7, "MARK", tmp_path) == "abc"
    assert variable(7, "MAR", tmp_path) is None
    assert variable(8, "MARK", tmp_path) is None


def test_only_those_with_the_value_are_carriers() -> None:
    waits = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with (
        subprocess.Popen(
            waits,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "VQCHAOS_TEST_MARK": "mine"},
        ) as mine,
        subprocess.Popen(
            waits,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "VQCHAOS_TEST_MARK": "theirs"},
        ) as theirs,
    ):
        for process in (mine, theirs):
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
        assert [p.pid for p in carriers("VQCHAOS_TEST_MARK", {"mine"})] == [mine.pid]
        for process in (mine, theirs):
            process.communicate()
