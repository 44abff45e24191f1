"""The container that stands in for a server's own while a start-up fault is in force: made of what
Docker says of the own one, changed as the fault wants it. Pure: nothing here talks to Docker."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vqchaos.errors import CapabilityMissing
from vqchaos.stack.docker import facts
from vqchaos.stack.protocols import StartMark, StartOverride
from vqchaos.text import one_line

STANDS_FOR: Final = "io.vqchaos.stands-for"  # the id of the container that it stands in for
_MARK, _TOKEN, _FAULT = "io.vqchaos.mark", "io.vqchaos.token", "io.vqchaos.fault"
_TOKENS = re.compile(r"[a-z0-9]{8}")  # it becomes a folder's name
_PORT = 8000  # vLLM's own default
Info = Mapping[str, Any]


def body(own: Info, override: StartOverride, *, restarts: bool) -> dict[str, Any]:
    """What Docker makes the container of. It is Compose's one-off: `down` removes it, `up` does
    not take it for a replica."""
    config = copy.deepcopy(dict(own["Config"]))
    for name in ("Hostname", "Domainname", "MacAddress"):
        config.pop(name, None)
    config["Image"] = own.get("Image") or config.get("Image")  # its tag may be another's by now
    config["Cmd"] = command(own, override)
    config["Env"] = [
        *(config.get("Env") or []),
        *(f"{name}={value}" for name, value in override.env.items()),
    ]
    config["Labels"] = {
        **(config.get("Labels") or {}),
        facts.ONEOFF: "True",
        STANDS_FOR: own["Id"],
        **_mark_labels(override.mark),
    }
    host = copy.deepcopy(dict(own["HostConfig"]))
    if not restarts:
        host["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    host["Binds"] = [*(host.get("Binds") or []), *_binds(own, override)]
    config["HostConfig"] = host
    first = next(iter(facts.attachments(own)), None)
    if first is not None:
        place = {"Aliases": list(first.aliases), "Links": list(first.links) or None}
        config["NetworkingConfig"] = {"EndpointsConfig": {first.network: place}}
    return config


def _mark_labels(mark: StartMark | None) -> dict[str, str]:
    if mark is None:
        return {}
    return {_MARK: mark.name, _TOKEN: mark.token, _FAULT: mark.fault}


def mark_of(labels: Mapping[str, str]) -> StartMark | None:
    """Whose it is; None where the labels do not say that."""
    token = labels.get(_TOKEN, "")
    if not _TOKENS.fullmatch(token):
        return None
    return StartMark(labels.get(_MARK, ""), token, labels.get(_FAULT, ""))


def command(own: Info, override: StartOverride) -> list[str]:
    """The own command with the override's model and arguments. Raises CapabilityMissing if it names
    no model."""
    words = list(own["Config"].get("Cmd") or [])
    if override.model is not None:
        place, before = _model_place(own, words)
        words[place] = f"{before}{override.model}"
    return [*words, *override.extra_args]


def model_dir(own: Info) -> Path:
    """The host's folder that is mounted at the container's model. Raises CapabilityMissing if the
    model is a hub's name, or in the image, or on another machine."""
    words = list(own["Config"].get("Cmd") or [])
    place, before = _model_place(own, words)
    model = PurePosixPath(words[place][len(before) :])
    for mount in own.get("Mounts") or []:
        target = PurePosixPath(mount["Destination"])
        if mount.get("Type") == "bind" and model.is_relative_to(target):
            folder = Path(mount["Source"]) / model.relative_to(target)
            if folder.is_dir():
                return folder
    raise CapabilityMissing(
        f"the model of {_name(own)}, {one_line(str(model), 100)}, is not a folder of this machine",
        hint="mount it: `volumes: [./model:/models/it:ro]` and `--model /models/it`",
    )


def listens_on(own: Info) -> tuple[str, int]:
    """The address of this machine at which the server's port is published. Raises
    CapabilityMissing if it is not."""
    words = [str(word) for word in own["Config"].get("Cmd") or []]
    port = _PORT
    for word, following in zip(words, [*words[1:], ""], strict=True):
        value = following if word == "--port" else word.removeprefix("--port=")
        if word.startswith("--port") and value.isdigit():
            port = int(value)
    for binding in (own["HostConfig"].get("PortBindings") or {}).get(f"{port}/tcp") or []:
        if str(binding.get("HostPort", "")).isdigit():
            return binding.get("HostIp") or "0.0.0.0", int(binding["HostPort"])
    raise CapabilityMissing(
        f"{_name(own)} publishes port {port} at no fixed port of this machine",
        hint=f'`ports: ["127.0.0.1:17011:{port}"]` for the service in the Compose file',
    )


def url_of(host: str, port: int) -> str:
    """Where a client of this machine reaches what is published there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _model_place(own: Info, words: Sequence[str]) -> tuple[int, str]:
    """Which word names the model, and what stands before it in that word."""
    for index, word in enumerate(words):
        if word.startswith("--model="):
            return index, "--model="
        if word == "--model" and index + 1 < len(words):
            return index + 1, ""
    served = [str(word) for word in own["Config"].get("Entrypoint") or []][-1:] == ["serve"]
    first = 0 if served else 1 if list(words[:1]) == ["serve"] else None
    if first is not None and len(words) > first and not words[first].startswith("-"):
        return first, ""
    raise CapabilityMissing(
        f"the command of {_name(own)} names no model that could be replaced",
        hint="name it in the Compose file's `command`: `--model PATH`",
    )


def _binds(own: Info, override: StartOverride) -> list[str]:
    """The fault's folder at its own path, and what the links in it lead to, but for what is mounted
    there already: Docker takes no place twice."""
    if override.model is None:
        return []
    folders = {override.model}
    folders |= {path.resolve().parent for path in override.model.iterdir() if path.is_symlink()}
    there = {mount["Destination"] for mount in own.get("Mounts") or []}
    return [f"{folder}:{folder}:ro" for folder in sorted(folders) if str(folder) not in there]


def _name(own: Info) -> str:
    return one_line(str(own.get("Name", own["Id"][:12])).lstrip("/"), 100)
