"""What is drawn is what an experiment could say; every fault type is drawn; examples shrink."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import find, given, settings
from hypothesis import strategies as st

from vqchaos.errors import UsageError
from vqchaos.experiment.files import load_experiment
from vqchaos.experiment.model import Experiment
from vqchaos.experiment.rules import broken_rules
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import Fault
from vqchaos.faults.proxy_down import ProxyDown
from vqchaos.strategies import SETTINGS, experiments, faults, schedules
from vqchaos.units import parse_duration

HELD = st.sampled_from([None, True, False])
OFTEN = settings(max_examples=200)


def sets(name: str, fault: Fault) -> bool:
    return name in fault.model_fields_set


def again(fault: Fault) -> Fault:
    """As the ledger and an experiment's file have it."""
    return REGISTRY[fault.type].model_validate(
        fault.model_dump(mode="json", by_alias=True, exclude_none=True)
    )


def test_every_fault_type_has_a_strategy() -> None:
    assert SETTINGS.keys() == REGISTRY.keys()


@pytest.mark.parametrize("kind", list(REGISTRY))
def test_every_setting_of_every_type_is_drawn(kind: str) -> None:
    """A new setting of a fault, or a new fault, asks for its strategy here."""
    common = {"type", "name", "at", "for_", "every"}
    for name in REGISTRY[kind].model_fields.keys() - common:
        find(faults([kind], replicas=3), partial(sets, name))


@pytest.mark.parametrize("kind", list(REGISTRY))
def test_every_type_is_drawn_for_a_block(kind: str) -> None:
    @given(faults([kind], replicas=3))
    @settings(max_examples=30)
    def drawn(fault: Fault) -> None:
        assert type(fault) is REGISTRY[kind]
        assert (fault.at, fault.for_, fault.every) == (0.0, None, None)
        assert again(fault) == fault

    drawn()


@OFTEN
@given(data=st.data(), held=HELD)
def test_held_ones_or_instant_ones(data: st.DataObject, held: bool | None) -> None:
    fault = data.draw(faults(held=held))
    assert held is None or fault.is_held is held


@OFTEN
@given(faults())
def test_one_replica_means_whole_roles_and_the_clients_link(fault: Fault) -> None:
    assert getattr(fault, "link", "client-router") == "client-router"
    assert getattr(getattr(fault, "target", None), "replica", "all") in ("all", 1)


@OFTEN
@given(
    data=st.data(),
    held=HELD,
    phase=st.sampled_from(["1ms", "900ms", "1001ms", "10s", "1m30s"]),
    replicas=st.integers(1, 3),
)
def test_a_drawn_experiment_is_one(
    data: st.DataObject, held: bool | None, phase: str, replicas: int
) -> None:
    drawn = data.draw(experiments(held=held, phase=phase, replicas=replicas, max_size=4))
    assert broken_rules(drawn) == []
    assert 1 <= len(drawn.faults) <= 4
    for fault in drawn.faults:
        assert round(fault.at + (fault.for_ or 0), 9) <= parse_duration(phase)
        assert again(fault) == fault
    assert Experiment.model_validate(drawn.resolved()).faults == drawn.faults


@settings(max_examples=30)
@given(experiments(replicas=2))
def test_a_drawn_experiment_is_a_file_that_the_loader_takes(
    tmp_path_factory: pytest.TempPathFactory, drawn: Experiment
) -> None:
    path = tmp_path_factory.mktemp("drawn") / "drawn.yaml"
    path.write_text(yaml.safe_dump(drawn.resolved()), encoding="utf-8")
    assert load_experiment(path).faults == drawn.faults


@pytest.mark.parametrize(
    "wanted",
    [
        lambda drawn: len(drawn) == 3,
        lambda drawn: any(fault.every is not None and fault.is_held for fault in drawn),
        lambda drawn: any(fault.every is not None and not fault.is_held for fault in drawn),
        lambda drawn: any(fault.startup for fault in drawn),
        lambda drawn: any(fault.name is not None for fault in drawn),
        lambda drawn: len({fault.type for fault in drawn}) == 3,
    ],
)
def test_schedules_are_not_all_alike(wanted: Any) -> None:
    find(schedules(), wanted)


def test_it_shrinks_to_the_plainest() -> None:
    assert find(faults(), lambda _: True) == ProxyDown(type="proxy_down")
    late = {"type": "latency", "latency": "1ms"}
    assert find(faults(["latency"]), lambda _: True) == REGISTRY["latency"].model_validate(late)
    (one,) = find(schedules(), lambda _: True)
    assert (one.type, one.at, one.for_, one.every) == ("proxy_down", 0.0, None, None)


def test_it_shrinks_to_what_matters() -> None:
    """Of long schedules that fail for one late fault, that fault alone is left, at the bound."""
    late = find(schedules(), lambda drawn: any(fault.at >= 3 for fault in drawn))
    assert [(fault.type, fault.at, fault.for_) for fault in late] == [("proxy_down", 3.0, None)]
    slow = find(faults(replicas=3), lambda fault: getattr(fault, "latency", 0) >= 0.7)
    assert slow.model_fields_set == {"type", "latency"}
    assert getattr(slow, "latency", None) == 0.7


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: faults(["latancy"]), r"no fault is called 'latancy' \(did you mean 'latency'\?\)"),
        (lambda: faults([]), "no type of none is"),
        (lambda: faults(["latency"], held=False), "no type of latency is instant"),
        (lambda: faults(replicas=0), "expected at least 1"),
        (lambda: schedules(phase="0s"), "at least 1ms"),
        (lambda: schedules(max_size=0), "max_size"),
    ],
)
def test_wrong_arguments_are_told_at_once(call: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_without_hypothesis_the_way_out_is_told(tmp_path: Path) -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import vqchaos.strategies"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert "ImportError: vqchaos.strategies needs Hypothesis: pip install" in done.stderr
    assert "'vqchaos[hypothesis]'" in done.stderr
