"""action.yml: its shell steps run with a program in vqchaos' place, and the schemas' word on it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.actions import Runner
from vqchaos.clock import RealClock, wait_until

ROOT = Path(__file__).resolve().parent.parent
ACTION = ROOT / "action.yml"
HOSTILE = ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "' && touch pwned #", "-rf *"]

# Stands for `python -m venv` and what pip installs. It writes down what it is called with, and what
# it is told to do by the file `orders`: {"code": 1, "folders": […], "waits": true}.
PYTHON = """#!{python}
import os, shutil, sys
here = os.path.dirname(os.path.abspath(__file__))
if sys.argv[1:3] == ["-m", "venv"]:
    os.makedirs(os.path.join(sys.argv[3], "bin"))
    for name in ("python", "vqchaos"):
        shutil.copy(os.path.join(here, "fake-" + name), os.path.join(sys.argv[3], "bin", name))
else:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
INNER = """#!{python}
import os, sys
if sys.argv[1:3] != ["-m", "pip"]:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
with open({calls!r}, "a") as out:
    print(__import__("json").dumps(["pip", *sys.argv[3:]]), file=out)
"""
VQCHAOS = """#!{python}
import json, os, signal, sys
with open({calls!r}, "a") as out:
    print(json.dumps(sys.argv[1:]), file=out)
with open({orders!r}) as said:
    orders = json.load(said)
if sys.argv[1] != "run":
    sys.exit(orders.get(sys.argv[1], 0))
if orders.get("waits"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(orders["code"]))
    open({calls!r} + ".waits", "w").close()
    while True:
        signal.pause()
out = sys.argv[sys.argv.index("--out") + 1]
for name in orders.get("folders", []):
    os.mkdir(os.path.join(out, name))
    with open(os.path.join(out, name, "summary.md"), "w") as summary:
        print("## of", name, file=summary)
sys.exit(orders["code"])
"""


class Job(Runner):
    """The action, and what its program was told and called with."""

    def __init__(self, place: Path, **orders: Any) -> None:
        tools = place / "tools"
        tools.mkdir(parents=True)
        self.calls_file = place / "calls"
        self.calls_file.touch()
        said = place / "orders"
        said.write_text(json.dumps({"code": 0, **orders}), encoding="utf-8")
        for name, text in (
            ("python", PYTHON), ("fake-python", INNER), ("fake-vqchaos", VQCHAOS)
        ):  # fmt: skip
            made = text.format(python=sys.executable, calls=str(self.calls_file), orders=str(said))
            (tools / name).write_text(made, encoding="utf-8")
            (tools / name).chmod(0o755)
        super().__init__(ACTION, place, tools)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    def called(self, command: str) -> list[str]:
        return next(words for words in self.calls if words[0] == command)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a job"


def test_a_gate_that_holds(place: Path) -> None:
    job = Job(place, folders=["20261118-a", "20261118-b", "20261118-set-1"])
    assert (
        job.run(gate="gate.yaml", stack="candidate", args="--repeat 6 --label 'main branch'") == 0
    )
    assert job.outputs() == {"verdict": "pass", "exit-code": "0", "report": "runs/20261118-set-1"}
    assert job.summary == "## of 20261118-set-1\n"
    pip, *calls = job.calls
    assert pip == ["pip", "install", "--quiet", "-c", f"{ROOT}/constraints.txt", str(ROOT)]
    assert calls == [
        ["validate", "--", "experiments", "gate.yaml"],
        ["run", "--stack", "candidate", "--out", "runs", "--gate", "gate.yaml",
         "--repeat", "6", "--label", "main branch", "--", "experiments"],
        ["heal", "--stack", "candidate"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(1, "fail"), (2, "error"), (3, "unknown"), (4, "unclean"), (130, "interrupted")],
)
def test_the_job_ends_as_the_run_did_with_its_report(place: Path, code: int, verdict: str) -> None:
    job = Job(place, code=code, folders=["20261118-a"])
    assert job.run(experiments="a.yaml\nb c.yaml\n") == code
    assert job.outputs() == {
        "verdict": verdict, "exit-code": str(code), "report": "runs/20261118-a"
    }  # fmt: skip
    assert job.summary == "## of 20261118-a\n"
    assert job.called("run")[-3:] == ["--", "a.yaml", "b c.yaml"]


def test_a_run_that_never_was(place: Path) -> None:
    job = Job(place, code=2)
    (job.work / "runs").mkdir()
    (job.work / "runs" / "20251118-of-another-job").mkdir()
    assert job.run() == 2
    assert job.outputs()["report"] == ""
    assert "no run was made" in job.summary


def test_files_that_are_not_in_order_break_nothing(place: Path) -> None:
    job = Job(place, validate=2)
    assert job.run(up="true") == 2
    assert [words[0] for words in job.calls] == ["pip", "validate", "heal", "down"]
    assert job.outputs()["verdict"] == ""


def test_what_it_brings_up_it_takes_down(place: Path) -> None:
    job = Job(place, code=1)
    assert job.run(up="true", stack="mine") == 1
    assert [words[0] for words in job.calls[1:]] == ["validate", "up", "run", "heal", "down"]
    assert all("mine" in words for words in job.calls[2:])


def test_what_cannot_be_healed_fails_the_job(place: Path) -> None:
    assert Job(place, heal=4).run() == 4


def test_inputs_are_words_and_never_commands(place: Path) -> None:
    for number, text in enumerate(HOSTILE):
        job = Job(place / str(number))
        quoted = "'" + text.replace("'", "'\\''") + "'"
        assert job.run(experiments=text, stack=text, gate=text, out=text, args=quoted) == 0
        assert job.called("run") == [
            "run", "--stack", text, "--out", text, "--gate", text, text, "--", text
        ]  # fmt: skip
        assert [path.name for path in job.work.iterdir()] == [text]


def test_no_expression_is_in_a_script() -> None:
    for step in yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_a_cancelled_job_tells_the_run_and_waits_for_its_undo(place: Path) -> None:
    job = Job(place, code=4, waits=True)
    step = next(s for s in job.spec["runs"]["steps"] if s.get("id") == "gate")
    venv = job.temp / "vqchaos"
    subprocess.run([job.tools / "python", "-m", "venv", venv], check=True)
    (job.temp / "path").write_text(f"{venv}/bin\n", encoding="utf-8")
    env = {"EXPERIMENTS": "x", "STACK": "s", "GATE": "", "OUT": "runs", "ARGS": ""}
    waits = Path(f"{job.calls_file}.waits")
    with job.start({**step, "env": env}) as process:
        try:
            assert wait_until(waits.exists, 30.0, RealClock(), every=0.01)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "verdict=unclean" in (job.temp / "output").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("github-actions", "action.yml"),
        ("github-workflows", "examples/ci/github-actions.yaml"),
        ("gitlab-ci", "examples/ci/gitlab-ci.yaml"),
    ],
)
def test_the_servers_schemas_take_it(schema: str, file: str) -> None:
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*program, str(ROOT / file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_hands_over_inputs_that_there_are() -> None:
    action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    workflow = yaml.safe_load((ROOT / "examples/ci/github-actions.yaml").read_text("utf-8"))
    (step,) = (s for s in workflow["jobs"]["gate"]["steps"] if s.get("uses") == "./.vqchaos")
    assert step["with"].keys() <= action["inputs"].keys()
    text = json.dumps(workflow)
    for name in ("verdict", "report"):
        assert f"steps.chaos.outputs.{name}" in text
        assert name in action["outputs"]
