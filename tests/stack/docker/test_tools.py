"""The shell library of tools/docker: the file that keeps apt from starting services goes again,
whatever ends apt."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vqchaos.clock import RealClock, wait_until

LIB = Path(__file__).resolve().parents[3] / "tools" / "docker" / "lib.sh"
SCRIPT = """
set -euo pipefail
. "$LIB"
need_root() { :; }
trap 'echo "the caller ends"' EXIT
install a-package
echo "and goes on"
"""
PATIENCE = 20.0
CLOCK = RealClock()


class Place:
    """A folder with an apt-get of the test's own, which does ``work`` where it installs."""

    def __init__(self, folder: Path, work: str) -> None:
        self.policy = folder / "policy-rc.d"
        self.seen = folder / "seen"  # the policy while apt ran
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        bin_ = folder / "bin"
        bin_.mkdir()
        apt = bin_ / "apt-get"
        copied = 'cp -p "$POLICY_RC_D" "$SEEN.part" && mv "$SEEN.part" "$SEEN"'
        apt.write_text(f'#!/bin/sh\n[ "$1" = update ] && exit 0\n{copied}\n{work}\n')
        apt.chmod(0o755)
        self.env = {
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "LIB": str(LIB),
            "POLICY_RC_D": str(self.policy),
            "SEEN": str(self.seen),
            "TMPDIR": str(self.temporary),
        }

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            # Whoever runs the tests in the background passes an ignored SIGINT on.
            ["env", "--default-signal=INT", "bash", "-c", SCRIPT],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            yield process

    def left(self) -> list[str]:
        there = [self.policy] if self.policy.exists() else []
        return [path.name for path in [*there, *self.temporary.iterdir()]]


def test_a_good_install_leaves_nothing_and_the_callers_trap_is_its_own(tmp_path: Path) -> None:
    place = Place(tmp_path, "exit 0")
    with place.running() as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "and goes on\nthe caller ends\n")
    assert place.seen.read_text() == "#!/bin/sh\nexit 101\n"
    assert place.seen.stat().st_mode & 0o777 == 0o755
    assert place.left() == []


def test_an_apt_that_fails_ends_the_script_with_its_words(tmp_path: Path) -> None:
    place = Place(tmp_path, "echo no such package; exit 100")
    with place.running() as process:
        out, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (3, "the caller ends\n")
    assert "no such package\n[docker] error: apt-get could not install a-package" in error
    assert place.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_in_mid_install_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C goes to all of them."""
    place = Place(tmp_path, "exec sleep 300")
    with place.running() as process:
        assert wait_until(place.seen.exists, PATIENCE, CLOCK)
        os.killpg(process.pid, number)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "and goes on" not in out
    assert wait_until(lambda: place.left() == [], PATIENCE, CLOCK)


def test_somebody_elses_policy_stays(tmp_path: Path) -> None:
    place = Place(tmp_path, "exit 0")
    place.policy.write_text("#!/bin/sh\nexit 0\n")
    with place.running() as process:
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert place.policy.read_text() == "#!/bin/sh\nexit 0\n"
