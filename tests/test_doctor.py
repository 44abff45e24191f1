from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from vqchaos import doctor
from vqchaos.doctor import examine


def test_everything_is_looked_at_and_what_lacks_has_a_way_out() -> None:
    findings = examine()
    assert len({finding.name for finding in findings}) == len(doctor._LOOKS)
    assert all(finding.way_out for finding in findings if finding.state == "lacks")
    json.dumps([finding.as_json() for finding in findings])


def test_a_bare_host_is_told_what_up_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    by_name = {finding.name: finding for finding in examine()}
    assert by_name["engine"].found == "not installed yet"
    assert by_name["toxiproxy"].way_out == "`vqchaos up` downloads it, once"
    assert by_name["go"].state == "note"


def test_too_little_memory_is_a_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=2 * doctor.GIB))
    assert doctor._memory().state == "lacks"


def test_a_look_that_crashes_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def _broken() -> doctor.Finding:
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "_LOOKS", (_broken,))
    [finding] = examine()
    assert (finding.name, finding.state) == ("broken", "note")
    assert "no such thing" in finding.found
