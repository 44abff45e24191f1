from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from vqchaos.faults import REGISTRY, AnyFault
from vqchaos.faults.base import Fault

FAULTS: TypeAdapter[Fault] = TypeAdapter(AnyFault)


def said(data: object) -> str:
    with pytest.raises(ValidationError) as caught:
        FAULTS.validate_python(data)
    return str(caught.value)


def test_a_mapping_becomes_the_class_that_its_type_names() -> None:
    fault = FAULTS.validate_python({"type": "latency", "latency": "250ms", "for": "2s"})
    assert type(fault) is REGISTRY["latency"]
    assert fault.for_ == 2.0
    assert FAULTS.validate_python(fault) is fault


@pytest.mark.parametrize("kind", ["latancy", 3, ["latency"], ""])
def test_an_unknown_type(kind: object) -> None:
    assert "unknown fault type" in said({"type": kind})


@pytest.mark.parametrize("data", [None, "latency", 3, []])
def test_no_mapping(data: object) -> None:
    assert "expected a mapping with a `type`" in said(data)


def test_no_type() -> None:
    assert "expected a `type`" in said({"latency": "250ms"})


@pytest.mark.parametrize("kind", list(REGISTRY))
def test_unknown_settings_are_refused(kind: str) -> None:
    assert "Extra inputs are not permitted" in said({"type": kind, "no_such_setting": 1})


@pytest.mark.parametrize("setting", ["at", "for"])
def test_a_duration_needs_its_unit(setting: str) -> None:
    assert "did you mean 5s?" in said({"type": "external", setting: 5})
