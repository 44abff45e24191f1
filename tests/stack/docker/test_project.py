"""`down` of a project that holds more than ours: what goes, and what is left alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack.docker.fake_engine import listed, refusal
from tests.stack.docker.test_address import stack_file
from vqchaos.errors import StackError
from vqchaos.ledger import Entry, Ledger
from vqchaos.stack import lifecycle
from vqchaos.stack.docker.client import Docker
from vqchaos.stack.docker.containers import DockerContainers
from vqchaos.stack.docker.stack import DockerStack
from vqchaos.stack.protocols import Item

COMPOSE = f"""#!{sys.executable}
import sys
words = sys.argv[1:]
if words[-1] == "version":
    sys.exit(0)
if words[-1] == "--services":
    print("server")
    sys.exit(0)
print("error while removing network: it has active endpoints")
sys.exit({{code}})
"""


class Engine:
    """What of the project is there; ``compose down`` itself is a stand-in that takes nothing."""

    def __init__(self) -> None:
        self.there: list[dict[str, Any]] = []
        self.nets: dict[str, list[str]] = {}
        self.vols: list[dict[str, Any]] = []

    def containers(self, **options: Any) -> list[dict[str, Any]]:
        return [{**each, "NetworkSettings": self.of(each["Id"])} for each in self.there]

    def of(self, identifier: str) -> dict[str, Any]:
        """Its networks, as Docker lists them also of one that does not run."""
        return {"Networks": {name: {} for name, on in self.nets.items() if identifier in on}}

    def networks(self, **options: Any) -> list[dict[str, Any]]:
        return [{"Id": name, "Name": name} for name in self.nets]

    def volumes(self, **options: Any) -> dict[str, Any]:
        return {"Volumes": list(self.vols) or None}

    def remove_container(self, identifier: str, *, force: bool, v: bool) -> None:
        assert force
        assert v
        if identifier == "gone":
            raise refusal(404, "No such container: gone")
        self.there = [each for each in self.there if each["Id"] != identifier]

    def remove_volume(self, name: str) -> None:
        self.vols = [each for each in self.vols if each["Name"] != name]

    def version(self) -> dict[str, str]:
        return {"Version": "20.10.24"}


class Quiet:
    def step(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> DockerStack:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    (tmp_path / "compose.yml").write_text("services: {}\n", encoding="utf-8")
    compose(tmp_path, 0)
    made = DockerStack(stack_file(compose="compose.yml"), tmp_path / "docker.yaml")
    vars(made)["docker"] = DockerContainers("shop", {"server": ["server"]}, Docker(engine))
    return made


def compose(folder: Path, code: int) -> None:
    path = folder / "bin" / "docker"
    path.parent.mkdir(exist_ok=True)
    path.write_text(COMPOSE.format(code=code), encoding="utf-8")
    path.chmod(0o755)


def strangers(engine: Engine) -> None:
    """Somebody else's container in the same project, on its network, and a volume with data."""
    engine.there = [listed("grafana", 1, "f" * 64)]
    engine.nets = {"shop_default": ["f" * 64]}
    engine.vols = [{"Name": "shop_data", "Labels": None}]


@pytest.mark.parametrize("code", [0, 1], ids=["v2", "1.29-fails-on-a-network-in-use"])
def test_what_is_not_ours_is_left_alone_and_told(
    stack: DockerStack, engine: Engine, tmp_path: Path, code: int
) -> None:
    strangers(engine)
    compose(tmp_path, code)
    assert lifecycle.down(stack, Quiet()) == [
        Item("container", "shop-grafana-1", "running"),
        Item("network", "shop_default"),
        Item("volume", "shop_data"),
    ]
    assert engine.vols == [{"Name": "shop_data", "Labels": None}]


def test_ours_goes_a_stand_in_and_a_volume_with_our_label(
    stack: DockerStack, engine: Engine
) -> None:
    strangers(engine)
    other = listed("server", 1, "9" * 64)
    other["Labels"] |= {"io.vqchaos.stands-for": "1" * 64}
    gone = {**other, "Id": "gone"}
    engine.there += [other]
    engine.vols += [{"Name": "shop_cache", "Labels": {"io.vqchaos.stack": "docker"}}]
    kept = lifecycle.down(stack, Quiet())
    assert [item.name for item in kept] == ["shop-grafana-1", "shop_default", "shop_data"]
    assert [each["Id"][0] for each in engine.there] == ["f"]
    engine.there += [gone]  # somebody else was faster
    stack.things.remove_stand_ins()


@pytest.mark.parametrize(
    ("left", "named"),
    [("container", "container shop-server-1"), ("network", "network shop_back")],
)
def test_what_of_ours_stays_is_an_error(
    stack: DockerStack, engine: Engine, left: str, named: str
) -> None:
    strangers(engine)
    if left == "container":
        engine.there.append(listed("server", 1, "1" * 64))
    else:
        engine.nets["shop_back"] = []
    with pytest.raises(StackError, match=f"still there after down: {named}$"):
        lifecycle.down(stack, Quiet())


def test_composes_own_words_where_it_failed(
    stack: DockerStack, engine: Engine, tmp_path: Path
) -> None:
    engine.there = [listed("server", 1, "1" * 64)]
    compose(tmp_path, 1)
    with pytest.raises(StackError, match="active endpoints"):
        lifecycle.down(stack, Quiet())


def test_with_volumes_one_that_stays_is_an_error(stack: DockerStack, engine: Engine) -> None:
    strangers(engine)
    with pytest.raises(StackError, match="volume shop_data"):
        lifecycle.down(stack, Quiet(), volumes=True)


def test_by_force_the_ledger_is_forgotten(stack: DockerStack) -> None:
    stack.state_dir.mkdir(parents=True)
    ledger = Ledger(stack.state_dir)
    ledger.record(Entry("r.0", "r", 0, "frozen", "container_pause", None, held=True))
    assert lifecycle.down(stack, Quiet(), force=True) == []
    assert ledger.in_force() == []
