"""The whole local stack with real supervisord and launcher, a fake vLLM and a fake Toxiproxy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.local.conftest import HERE, Quiet, eventually
from vqchaos.errors import CapabilityMissing, StackUnhealthy, UncleanError
from vqchaos.ledger import Entry, Ledger
from vqchaos.stack.config import LocalStackFile
from vqchaos.stack.inventory import compare
from vqchaos.stack.local import groups
from vqchaos.stack.local.down import down, leftovers, own_processes, sweep
from vqchaos.stack.local.stack import LocalStack, without_secrets
from vqchaos.stack.local.up import advice, status, telling, up
from vqchaos.stack.protocols import Capability, ProcessRef

Make = Callable[..., LocalStack]


@pytest.fixture
def make(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("VQCHAOS_STOP_GRACE", "0.3")
    program = homes / "bin" / "toxiproxy-server"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/fake_toxiproxy.py "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (homes / "model").mkdir()
    (homes / "model" / "config.json").write_text("{}")
    made: list[LocalStack] = []

    def stack(**env: str) -> LocalStack:
        file = LocalStackFile.model_validate(
            {
                "name": "fake",
                "kind": "local",
                "model": "./model",
                "engine": {"command": [sys.executable, f"{HERE}/fake_server.py"], "env": env},
                "restart": {"backoff": "100ms"},
            }
        )
        made.append(LocalStack(file, homes / "fake.yaml"))
        return made[-1]

    yield stack
    for one in made:
        groups.kill(own_processes(one))  # faster than asking
        sweep(one)


def test_up_serves_is_idempotent_and_down_leaves_nothing(make: Make) -> None:
    stack = make(FAKE_CHILDREN="1")
    assert status(stack).state == "down"
    progress = Quiet()
    up(stack, progress)
    assert progress.steps[-1].startswith(f"serving qwen3 at {stack.endpoints.client_url}/v1")
    first = stack.server.attempt().pid
    up(stack, Quiet())
    assert stack.server.attempt().pid == first
    now = status(stack)
    assert (now.state, now.server["starts"]) == ("serving", 1)
    assert json.loads(json.dumps(now.as_json()))["urls"]["client"] == stack.endpoints.client_url
    [server] = stack.processes.find("server")
    [engine] = stack.processes.find("engine")
    [proxy] = stack.processes.find("proxy")
    assert (server.pid, engine.group, engine.role) == (first, first, "engine")

    assert stack.processes.status(engine) == "running"
    assert stack.processes.signal(engine, signal.SIGSTOP)
    eventually(lambda: stack.processes.status(engine) == "stopped")
    stranger = type(engine)(engine.pid, engine.start_time - 100, "engine", 0, 0, "")
    assert stack.processes.status(stranger) == "gone"
    assert not stack.processes.signal(stranger, signal.SIGKILL)

    os.kill(proxy.pid, signal.SIGKILL)  # comes back, with its proxy
    eventually(lambda: [p.pid for p in stack.processes.find("proxy")] not in ([], [proxy.pid]))
    eventually(lambda: status(stack).state == "serving")

    stack.server.stop()
    assert stack.processes.find("server") == []
    assert status(stack).state == "broken"
    state = stack.paths.state
    down(stack, Quiet())
    assert leftovers(stack) == []
    assert not stack.paths.runtime.exists()
    assert sorted(path.name for path in state.iterdir()) == ["ports.json", "up.lock"]
    down(stack, Quiet())


def test_a_refusal_is_told_with_its_cause_and_leaves_nothing(make: Make) -> None:
    stack = make(FAKE_EXIT="1", FAKE_SAY="OSError: [Errno 98] error while binding")
    with pytest.raises(StackUnhealthy, match=r"exit code 1\).*\n.*Errno 98") as raised:
        up(stack, Quiet())
    assert raised.value.hint is not None
    assert "took the port" in raised.value.hint
    assert leftovers(stack) == []
    assert "Errno 98" in (stack.state_dir / "last-failure.log").read_text()


def test_down_refuses_while_faults_are_in_force(make: Make) -> None:
    stack = make()
    up(stack, Quiet())
    Ledger(stack.state_dir).record(
        Entry(id="x", run="r", number=1, fault="slow", type="latency", target=None, held=True)
    )
    with pytest.raises(UncleanError, match="slow") as raised:
        down(stack, Quiet())
    assert "vqchaos heal" in str(raised.value.hint)
    assert status(stack).faults_in_force == ["slow"]
    down(stack, Quiet(), force=True)
    assert leftovers(stack) == []


def test_up_mends_what_a_killed_supervisor_left(make: Make) -> None:
    stack = make(FAKE_CHILDREN="1")
    up(stack, Quiet())
    supervisor = stack.supervisor.process()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not stack.supervisor.alive())
    assert status(stack).state == "broken"
    before = {process.pid for process in own_processes(stack)}
    assert len(before) >= 4  # launcher, Toxiproxy, server, engine
    progress = Quiet()
    up(stack, progress)
    assert "removing what an earlier, broken stack left" in progress.steps
    assert not before & {process.pid for process in own_processes(stack)}


def test_a_killed_launcher_comes_back_and_nothing_else_dies(make: Make) -> None:
    stack = make()
    up(stack, Quiet())
    supervisor = stack.supervisor.process()
    launcher = stack.supervisor.pid_of("launcher")
    [proxy] = stack.processes.find("proxy")
    assert supervisor is not None
    assert launcher is not None
    os.kill(launcher, signal.SIGKILL)
    eventually(lambda: stack.server.attempt().generation == 2)
    eventually(lambda: status(stack).state == "serving")
    assert supervisor.is_running()
    assert stack.processes.find("proxy") == [proxy]
    assert [p.pid for p in stack.processes.find("server")] == [stack.server.attempt().pid]


def test_after_a_kill_and_a_restart_all_is_as_before(make: Make, homes: Path) -> None:
    stack = make(FAKE_CHILDREN="1")
    assert set(stack.inventory().looked_at) >= {"file", "toxiproxy"}, "also before the first up"
    up(stack, Quiet())
    before = stack.inventory()
    ports = stack.paths.ports()
    assert {t.name: t.value for t in before.of("port")} == {
        f"127.0.0.1:{ports.server}": "the server",
        f"127.0.0.1:{ports.proxy}": "toxiproxy",
        f"127.0.0.1:{ports.proxy_api}": "nobody",  # the fake has no API
    }
    [server] = stack.processes.find("server")
    stack.processes.signal(server, signal.SIGKILL)
    assert compare(before, stack.inventory(before)) == ([], [])  # starting, or about to be
    eventually(lambda: stack.server.attempt().generation == 2)
    eventually(lambda: status(stack).state == "serving")
    assert compare(before, stack.inventory(before)) == ([], [])
    config = homes / "model" / "config.json"
    config.write_text("[]")
    stack.server.stop()
    ours, theirs = compare(before, stack.inventory(before))
    assert [(item.kind, item.name) for item in ours] == [("file", str(config))]
    [port] = theirs
    assert (port.kind, port.detail) == ("port", "was the server, is nobody")


def test_a_changed_stack_file_starts_the_server_anew(make: Make) -> None:
    up(make(FAKE_SAY="one"), Quiet())
    changed = make(FAKE_SAY="two")
    progress = Quiet()
    up(changed, progress)
    assert "the stack file changed: starting the server anew" in progress.steps
    assert changed.server.attempt().log[0] == "two"


def test_an_interrupted_up_is_removed_by_down(make: Make) -> None:
    stack = make(FAKE_EXIT="0", FAKE_AFTER="60")  # never serves

    class Impatient(Quiet):
        def step(self, text: str) -> None:
            if text.startswith("starting vLLM"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up(stack, Impatient())
    assert status(stack).state == "starting"
    down(stack, Quiet())
    assert leftovers(stack) == []


def test_the_stack_outlives_whoever_brought_it_up(make: Make, homes: Path) -> None:
    stack = make()
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\n"
        "from tests.stack.local.conftest import Quiet\n"
        "from vqchaos.stack.config import LocalStackFile\n"
        "from vqchaos.stack.local.stack import LocalStack\n"
        "from vqchaos.stack.local.up import up\n"
        "file = LocalStackFile.model_validate_json(sys.argv[3])\n"
        "up(LocalStack(file, Path(sys.argv[4])), Quiet())\n"
    )
    repository = HERE.parents[2]
    arguments = [str(repository / "src"), str(repository), stack.file.model_dump_json()]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, str(homes / "fake.yaml")], start_new_session=True
    )
    assert child.wait(60) == 0
    assert status(stack).state == "serving"


def test_two_ups_at_once_make_one_stack(make: Make) -> None:
    stack = make()
    errors: list[BaseException] = []

    def one() -> None:
        try:
            up(stack, Quiet())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert stack.server.attempt().generation == 1


def test_the_description_has_no_secrets_and_missing_says_how(make: Make) -> None:
    stack = make(MY_API_KEY="hunter2")
    stack.paths.make()
    assert "hunter2" not in json.dumps(stack.describe())
    assert stack.missing().keys() == {Capability.CONTAINERS, Capability.REPLICA_LINKS}
    with pytest.raises(CapabilityMissing, match="not Docker's"):
        _ = stack.containers
    bare = LocalStack(stack.file.model_copy(update={"memory_limit": None}), stack.path)
    assert "memory_limit" in bare.missing()[Capability.MEMORY_LIMIT]


def test_a_command_line_is_told_without_its_secrets() -> None:
    plain = ["--max-tokens", "5", "--tokenizer", "t"]
    words = ["vllm", "--api-key", "sk-1", "--hf-token=hf_2", *plain]
    told = ["vllm", "--api-key", "(redacted)", "--hf-token=(redacted)", *plain]
    assert without_secrets(words) == told


def test_a_stack_that_is_down_has_no_processes_and_forgets_on_force(make: Make) -> None:
    stack = make()
    gone = ProcessRef(2**22 + 1, 1.0, "engine", 1, 1, "VLLM::EngineCore")
    assert stack.processes.find("engine") == []
    assert stack.processes.signal(gone, signal.SIGCONT) is False
    stack.state_dir.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(stack.state_dir)
    ledger.record(Entry("r.0", "r", 0, "hang", "process_pause", "engine", held=True))
    with pytest.raises(UncleanError, match="faults are in force"):
        down(stack, Quiet())
    down(stack, Quiet(), force=True)
    assert ledger.in_force() == []


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("OSError: [Errno 98] Address already in use", "took the port"),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", "memory_limit (now 8.0 GiB)"),
        ("ValueError: No available memory for the cache blocks.", "VLLM_CPU_KVCACHE_SPACE"),
        ("api_server.py: error: unrecognized arguments: --nope", "engine.args"),
        ("SafetensorError: incomplete metadata", "model's files"),
        ("Segmentation fault", "last-failure.log"),
    ],
)
def test_a_refusal_comes_with_advice(make: Make, line: str, hint: str) -> None:
    assert hint in advice(["INFO fine", line], make())


def test_telling_prefers_the_lines_that_name_a_cause() -> None:
    assert telling(["INFO a", "ValueError: b", "INFO c"]) == ["ValueError: b"]
    assert telling(["a", "b"], limit=1) == ["b"]
