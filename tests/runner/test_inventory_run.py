"""The world before a run and after it, in whole runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.fakes import FakeWorld
from tests.runner.fake_stack import FakeStack, Lab
from tests.scripted_server import ScriptedServer
from vqchaos.errors import ExitCode
from vqchaos.history.events import Compared, Event, Leftovers, Note, Residue
from vqchaos.history.store import read
from vqchaos.runner.sets import Done
from vqchaos.stack.inventory import Inventory, Thing
from vqchaos.stack.protocols import Removal

LATENCY = {"type": "latency", "latency": "50ms"}
TIDY = [{"type": "no_residue"}]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ScriptedServer() as http:
        stack = FakeStack(tmp_path, http, FakeWorld(tmp_path / "world"))
        yield Lab(stack, tmp_path / "runs")


def when(lab: Lab, phase: str, act: Callable[[], object]) -> None:
    """Do it as that phase begins."""
    talk = lab.talk

    def begins(name: str, limit: float | None, t: float) -> None:
        if name == phase:
            act()

    talk.phase = begins  # type: ignore[method-assign]


def ran(lab: Lab) -> tuple[Done, Sequence[Event]]:
    [done] = lab.run(lab.experiment(LATENCY, checks=TIDY)).runs
    return done, read(done.folder / "history.jsonl")


def named(events: Sequence[Event], kind: type[Leftovers | Residue]) -> list[dict[str, str]]:
    [found] = [event for event in events if isinstance(event, kind)]
    return found.items


def test_an_untouched_run_compares_equal(lab: Lab) -> None:
    lab.stack.things = [Thing("gpu", "GPU 0", "1000 MiB in use", ours=False)]

    def a_little() -> None:
        lab.stack.things = [Thing("gpu", "GPU 0", "1200 MiB in use", ours=False)]

    when(lab, "recovery", a_little)
    done, events = ran(lab)
    [compared] = [e for e in events if isinstance(e, Compared)]
    assert compared.looked_at == {"file": 3, "toxiproxy": 1, "proxy": 3, "toxic": 3, "gpu": 1}
    assert named(events, Leftovers) == named(events, Residue) == []
    assert done.verdict["exit_code"] == ExitCode.PASS


def test_a_model_file_that_changed_in_mid_run_is_a_leftover(lab: Lab) -> None:
    path = lab.stack.world.folder / "model" / "config.json"
    when(lab, "fault", lambda: path.write_text("{}"))
    done, events = ran(lab)
    [item] = named(events, Leftovers)
    assert (item["kind"], item["name"]) == ("file", str(path))
    assert item["detail"].startswith("was sha256 ")
    assert named(events, Residue) == []
    assert done.verdict["exit_code"] == ExitCode.UNCLEAN
    [finding] = [f for f in done.verdict["findings"] if f["kind"] == "leftover"]
    assert f"file {path} is not as before the run (was sha256" in finding["text"]
    assert "config.json is not as before" in (done.folder / "summary.md").read_text()


def test_a_strangers_toxic_that_vanished_is_named(lab: Lab) -> None:
    when(lab, "recovery", lab.stack.world.proxy.restart)
    done, events = ran(lab)
    item, *others = named(events, Leftovers)
    assert (item["kind"], item["name"]) == ("toxic", "somebody-elses")
    assert [i["name"] for i in others] == [f"somebody-elses on replica-{n}" for n in (1, 2)]
    assert "Toxiproxy restarted" in item["detail"]
    assert done.verdict["exit_code"] == ExitCode.UNCLEAN


def test_gpu_memory_that_was_not_given_back_is_the_stacks(lab: Lab) -> None:
    lab.stack.things = [Thing("gpu", "GPU 0", "1000 MiB in use", ours=False)]

    def much() -> None:
        lab.stack.things = [Thing("gpu", "GPU 0", "9000 MiB in use", ours=False)]

    when(lab, "recovery", much)
    done, events = ran(lab)
    assert named(events, Leftovers) == []
    [item] = named(events, Residue)
    assert item["detail"] == "was 1000 MiB in use, is 9000 MiB in use"
    assert done.verdict["exit_code"] == ExitCode.FAIL
    assert not any("residue removed" in e.text for e in events if isinstance(e, Note))


def test_what_is_found_twice_is_named_once(lab: Lab) -> None:
    def broken(name: str) -> Removal:
        raise OSError("no answer")

    def stuck() -> None:
        lab.stack.world.proxy.remove = broken  # type: ignore[method-assign]

    when(lab, "recovery", stuck)
    _, events = ran(lab)
    assert [item["kind"] for item in named(events, Leftovers)] == ["fault", "toxic"]


@pytest.mark.parametrize("looks", [0, 1])
def test_an_inventory_that_fails_is_a_note(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    good = iter(range(looks))

    def inventory(before: Inventory | None = None) -> Inventory:
        if next(good, None) is None:
            raise OSError("too many open files")
        return Inventory()

    monkeypatch.setattr(lab.stack, "inventory", inventory)
    done, events = ran(lab)
    assert done.verdict["exit_code"] == ExitCode.PASS
    assert not any(isinstance(e, Compared) for e in events)
    [text] = [e.text for e in events if isinstance(e, Note) and "watchdog" not in e.text]
    assert "not compared: OSError: too many open files" in text
