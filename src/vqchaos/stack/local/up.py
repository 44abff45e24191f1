"""Brings the local stack up, and says how it is.

``up`` returns when a token came back *through the proxy*: everything before that (a port that is
open, a health of 200) has been seen without service.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import Any, NoReturn

from vqchaos.errors import StackUnhealthy, UncleanError
from vqchaos.ledger import Ledger
from vqchaos.stack.local.control import tail
from vqchaos.stack.local.down import own_processes, sweep
from vqchaos.stack.local.engine_env import Progress, find_engine, locked
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.local.toxiproxy_install import find_toxiproxy
from vqchaos.stack.protocols import Attempt
from vqchaos.stack.status import StackStatus, answer_token
from vqchaos.units import format_duration, format_size

START_LIMIT = 900.0  # seconds; a large model on a GPU takes minutes
_TOKEN_TIMEOUT = 60.0
_RESTARTS = 3  # servers that opened their port and died all the same
_MILESTONES = (
    (r"Application startup complete", "asking for the first token"),
    (r"KV cache size|# (CPU|GPU) blocks|init engine", "preparing the KV cache and warming up"),
    (r"Loading weights|Loading safetensors|Loading model|Starting to load model", "loading"),
    (r"EngineCore|Initializing a V1 LLM engine", "starting the engine core"),
)
_TELLING = re.compile(
    r"\b(\w*(Error|Exception)\b|error:|No available memory|Failed)", re.IGNORECASE
)


def up(
    stack: LocalStack,
    progress: Progress,
    *,
    engine_python: str | None = None,
    timeout: float = START_LIMIT,
) -> None:
    """Bring the stack up, or find it up; returns when it serves a token. Idempotent.

    Raises StackUnhealthy if the server refuses to start or serves nothing within ``timeout``
    seconds; what was started is taken down again, and the log is kept.
    """
    stack.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(stack.state_dir / "up.lock", progress):
        if stack.supervisor.alive() and stack.server.launcher_alive():
            _again(stack, progress)
            fresh = False
        else:
            _start(stack, progress, engine_python)
            fresh = True
        try:
            took = _wait_for_token(stack, progress, timeout)
        except StackUnhealthy:
            if fresh:
                _keep_log(stack)
                sweep(stack)
            raise
    progress.step(
        f"serving {stack.file.served_model_name} at {stack.endpoints.client_url}/v1"
        + (f", {format_duration(took)} after its start" if fresh else "")
    )


def _start(stack: LocalStack, progress: Progress, engine_python: str | None) -> None:
    paths = stack.paths
    _ = stack.model  # a wrong path is told before anything is installed
    engine = find_engine(stack.file.engine.command, progress, engine_python=engine_python)
    toxiproxy = find_toxiproxy(progress)
    if paths.up.exists() or own_processes(stack):
        progress.step("removing what an earlier, broken stack left")
        sweep(stack)
    paths.make()
    ports = paths.choose_ports()
    stack.remember_tools(engine, toxiproxy)
    stack.server.wish_clean()
    stack.supervisor.start(ports, toxiproxy)


def _again(stack: LocalStack, progress: Progress) -> None:
    """The stack is up already; the server is started anew only if it has to be."""
    if Ledger(stack.state_dir).in_force():
        progress.detail("faults are in force: the server is left as it is")
        return
    if not stack.server.is_clean_wish() and stack.server.attempt().state == "running":
        progress.step("the stack file changed: starting the server anew")
    stack.server.start_clean()


def _wait_for_token(stack: LocalStack, progress: Progress, timeout: float) -> float:
    """Seconds from the server's start to the token."""
    clock = stack.clock
    deadline = clock.now() + timeout
    server = stack.server
    first = server.attempt().generation
    failures = server.failures()
    seen = ""
    announced = False
    while clock.now() < deadline:
        attempt = server.attempt()
        restarts = attempt.generation - first
        # Back off and failed starts of before are no refusal: a fault may just have ended.
        if server.failures() > failures or attempt.state == "exited" or restarts >= _RESTARTS:
            _refuse(stack)
        if attempt.state == "running":
            if answer_token(stack.endpoints, _TOKEN_TIMEOUT):
                return clock.now() - (attempt.started or clock.now())
            if not announced:
                progress.step(f"starting vLLM with {stack.file.model}")
                announced = True
            milestone = _milestone(attempt.log)
            if milestone and milestone != seen:
                seen = milestone
                progress.detail(milestone)
        clock.sleep(0.1)
    raise StackUnhealthy(
        f"no token within {format_duration(timeout)}; the server's last words:\n"
        + _quote(server.attempt().log[-8:]),
        hint=f"see {stack.paths.up}/logs, or allow more time",
    )


def _refuse(stack: LocalStack) -> NoReturn:
    """Raises StackUnhealthy with what the start that failed said last; UncleanError if a fault
    is the reason."""
    in_force = Ledger(stack.state_dir).in_force()
    if in_force:
        names = ", ".join(entry.fault for entry in in_force)
        raise UncleanError(
            f"{stack.name} does not serve, and faults are in force: {names}", hint="vqchaos heal"
        )
    code, log = stack.server.last_exit()
    lines = tail(log) if log is not None else ()
    raise StackUnhealthy(
        f"vLLM ended while it started (exit code {code}):\n{_quote(telling(lines))}",
        hint=advice(lines, stack),
    )


def telling(lines: Sequence[str], limit: int = 8) -> list[str]:
    """The lines that name a cause, else the last ones."""
    causes = [line for line in lines if _TELLING.search(line)]
    return list(causes[-limit:] if causes else lines[-limit:])


def advice(lines: Sequence[str], stack: LocalStack) -> str:
    """How to mend a refusal to start, from what the log says."""
    text = "\n".join(lines)
    log = stack.state_dir / "last-failure.log"
    if re.search(r"Errno 98|address already in use", text, re.IGNORECASE):
        return "another program took the port: `vqchaos down`, then `vqchaos up`"
    if re.search(r"can't allocate memory|MemoryError|out of memory", text, re.IGNORECASE):
        limit = stack.file.memory_limit
        size = "none" if limit is None else format_size(limit)
        return f"too little memory: a smaller model, or a higher memory_limit (now {size})"
    if re.search(r"No available memory|KV cache|max_model_len|max-model-len", text):
        return "lower --max-model-len, or raise VLLM_CPU_KVCACHE_SPACE in engine.env"
    if re.search(r"unrecognized arguments|invalid choice", text):
        return "engine.args holds something that this vLLM does not know"
    if re.search(r"safetensor|config\.json|tokenizer|Repository|HF_HUB", text, re.IGNORECASE):
        return f"the model's files may be damaged or missing: {stack.file.model}; whole log: {log}"
    return f"whole log: {log}"


def _quote(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line[:200]}" for line in lines) or "  (no output)"


def _milestone(lines: Sequence[str]) -> str:
    for pattern, text in _MILESTONES:
        if any(re.search(pattern, line) for line in lines):
            return text
    return ""


def _keep_log(stack: LocalStack) -> None:
    _, log = stack.server.last_exit()
    if log is None:
        log = next(iter(sorted((stack.paths.up / "logs").glob("attempt-*.log"))[-1:]), None)
    if log is not None:
        shutil.copyfile(log, stack.state_dir / "last-failure.log")


# ---------------------------------------------------------------- status


def status(stack: LocalStack, *, token_timeout: float = 10.0) -> StackStatus:
    """How the stack is now; changes nothing. Asks for one token."""
    faults = [entry.fault for entry in Ledger(stack.state_dir).in_force()]
    known: dict[str, Any] = {
        "name": stack.name,
        "kind": stack.kind,
        "state_dir": str(stack.state_dir),
        "faults_in_force": faults,
    }
    if not stack.supervisor.alive():
        left = own_processes(stack)
        why = f"{len(left)} processes of it are left; `vqchaos down` ends them" if left else ""
        state = "broken" if left else "down"
        return StackStatus(**known, state=state, why=why)
    attempt = stack.server.attempt()
    serving = attempt.state == "running" and answer_token(stack.endpoints, token_timeout)
    state, why = ("serving", "") if serving else _why_not(stack, attempt)
    endpoints = stack.endpoints
    tools = stack.tools() or {}
    refs = [
        ref
        for role in ("server", "engine", "worker", "tracker", "proxy")
        for ref in stack.processes.find(role)
    ]
    return StackStatus(
        **known,
        state=state,
        why=why,
        urls={
            "client": endpoints.client_url,
            "direct": endpoints.direct_url,
            "proxy_api": stack.proxy_api_url,
        },
        server={
            "state": attempt.state,
            "starts": attempt.generation,
            "clean": attempt.clean,
            "pid": attempt.pid,
            "exit_code": attempt.exit_code,
        },
        processes=[{"role": ref.role, "pid": ref.pid, "title": ref.title} for ref in refs],
        versions={"vllm": tools.get("vllm"), "toxiproxy": tools.get("toxiproxy_version")},
        residue=[f"{item.kind} {item.name}" for item in stack.residue()],
    )


def _why_not(stack: LocalStack, attempt: Attempt) -> tuple[str, str]:
    if attempt.state != "running":
        return "broken", f"the server is {attempt.state} (exit code {attempt.exit_code})"
    if not stack.server.ready():
        return "starting", _milestone(attempt.log) or "the server is starting"
    return "broken", "the server runs, and no token comes back through the proxy"
