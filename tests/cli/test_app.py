from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vqchaos
from tests.stack.fake_toxiproxy import FakeToxiproxy
from vqchaos.cli.app import app, known_commands, run
from vqchaos.cli.overview import overview
from vqchaos.clock import RealClock
from vqchaos.errors import ExitCode
from vqchaos.runner.lock import stack_lock
from vqchaos.stack.local.paths import StackPaths


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_every_command_is_on_the_overview_and_the_other_way_round() -> None:
    registered = {
        info.name or (info.callback.__name__ if info.callback else "")
        for info in app.registered_commands
    }
    assert registered == set(known_commands())
    for name in registered:
        assert f"  {name} " in overview()


def command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vqchaos", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def test_version_and_help_import_nothing_heavy() -> None:
    for word in ("--version", "--help"):
        done = command(word, PYTHONPROFILEIMPORTTIME="1")
        assert done.returncode == 0
        for heavy in ("typer", "pydantic", "rich", "asyncio", "yaml"):
            assert f" {heavy}\n" not in done.stderr, f"{word} imports {heavy}"
    assert command("--version").stdout == f"vqchaos {vqchaos.__version__}\n"


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runn"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "No such command 'runn'" in err
    assert "--help" in err


@pytest.mark.parametrize("name", known_commands())
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Usage" in said
    [callback] = [i.callback for i in app.registered_commands if i.name == name]
    assert callback is not None
    assert callback.__doc__
    assert " ".join(callback.__doc__.split()) in said, "more than the overview's line"


def test_a_bug_of_ours_shows_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> object:
        raise RuntimeError("boom")

    monkeypatch.setattr("vqchaos.doctor.examine", broken)
    assert run(["doctor"]) == ExitCode.UNKNOWN
    err = capsys.readouterr().err
    assert "boom" in err
    assert "Traceback" not in err
    [log] = (tmp_path / "state/vqchaos/logs").iterdir()
    assert "Traceback" in log.read_text()


def test_init_writes_files_that_are_in_order_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(tmp_path)]) == 0
    files = [str(tmp_path / "experiments/first.yaml"), str(tmp_path / "stacks/local.yaml")]
    assert run(["validate", *files]) == 0
    assert run(["init", str(tmp_path)]) == ExitCode.USAGE
    assert "there already" in capsys.readouterr().err
    assert run(["init", str(tmp_path), "--force"]) == 0


def test_one_bad_file_means_that_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "a.yaml", tmp_path / "b.yaml"
    good.write_text("version: 1\nname: a\nfaults: [{type: external}]\n")
    bad.write_text("version: 1\nname: b\nfaults: [{type: externall}]\n")
    out = tmp_path / "runs"
    assert run(["run", str(good), str(bad), "--out", str(out)]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "b.yaml:3:17: unknown fault type 'externall'; did you mean 'external'?" in err
    assert not out.exists()


def test_a_stack_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--stack", "nowhere"]) == ExitCode.USAGE
    assert "no stack called 'nowhere'" in capsys.readouterr().err


def test_status_of_a_stack_that_is_down_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == ExitCode.UNKNOWN
    assert "down" in capsys.readouterr().out


def test_heal_with_nothing_to_heal_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["heal"]) == 0
    assert capsys.readouterr().out == "no faults in force\n"


@pytest.mark.parametrize(
    "words", [["faults"], ["checks"], ["schema"], ["schema", "stack"], ["schema", "gate"]]
)
def test_the_reference_is_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["faults", "latencyy"], "did you mean 'latency'?"),
        (["faults", "bandwidth"], "is not in this version"),
        (["checks", "canaryy"], "did you mean 'canary'?"),
        (["schema", "recipe"], "no schema of 'recipe'"),
        (["judge", "/nonexistent"], "not a run's folder"),
    ],
)
def test_wrong_names_are_usage_errors(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_down_under_a_live_run_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("version: 1\nname: mine\nkind: local\n", encoding="utf-8")
    state = StackPaths.of("mine", file).state
    with stack_lock(state, "a run of trial", RealClock()):
        assert run(["down", "--stack", str(file)]) == ExitCode.UNKNOWN
    err = capsys.readouterr().err
    assert "a run of trial" in err
    assert "vqchaos abort" in err


def test_the_plan_names_links_and_endpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeToxiproxy() as toxiproxy:
        for name in ("llm", "r-1", "r-2"):
            toxiproxy.proxies[name] = {
                "name": name, "listen": "", "upstream": "", "enabled": True, "toxics": [],
            }  # fmt: skip
        stack = tmp_path / "far.yaml"
        stack.write_text(
            "{version: 1, name: far, kind: attach, environment: test, model: m, "
            f"url: 'http://127.0.0.1:9', proxy_api: '{toxiproxy.url}', proxy_name: llm, "
            "links: {router-replica: [r-1, r-2]}, endpoints: {two: 'http://127.0.0.1:9/two'}}"
        )
        trial = tmp_path / "trial.yaml"
        trial.write_text(
            "{version: 1, name: t, faults: [{type: latency, latency: 1s, link: router-replica, "
            "replica: 2}], workloads: {a: {endpoint: two}}}"
        )
        assert run(["plan", str(trial), "--stack", str(stack)]) == ExitCode.PASS
        out = capsys.readouterr().out
        assert "link client-router: llm\nlink router-replica: r-1, r-2\n" in out
        assert "at two (http://127.0.0.1:9/two)" in out
        assert "add a toxic: 1s on the downstream of router → replica 2 (r-2)" in out
        trial.write_text(trial.read_text().replace("endpoint: two", "endpoint: three"))
        assert run(["plan", str(trial), "--stack", str(stack)]) == ExitCode.USAGE
        assert "no endpoint 'three'; there is two" in capsys.readouterr().err
