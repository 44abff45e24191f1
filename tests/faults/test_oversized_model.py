from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import GIB, FakeWorld
from tests.faults.samples import ticket
from vqchaos.errors import FaultError
from vqchaos.faults.oversized_model import OversizedModel


def oversized(**settings: Any) -> OversizedModel:
    return OversizedModel.model_validate({"type": "oversized_model", **settings})


def test_never_without_a_limit(tmp_path: Path) -> None:
    world = FakeWorld(tmp_path / "w", memory_limit=None)
    for step in (
        lambda: oversized().plan(world),
        lambda: oversized().capture(world, ticket()),
    ):
        with pytest.raises(FaultError, match="no memory limit to protect the host"):
            step()
    assert world.mutations == []


def test_the_size_is_that_of_its_layers() -> None:
    # Qwen3: q and o 4096², k and v 4096 x 512, three of 4096 x 12288; by hand.
    per_layer = 2 * 4096**2 + 2 * 4096 * 512 + 3 * 4096 * 12288
    assert oversized(layers=3, hidden=4096).parameters() == 3 * per_layer


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_it_must_be_larger_than_the_limit(tmp_path: Path, over: int) -> None:
    fault = oversized(layers=2, hidden=1024)
    world = FakeWorld(tmp_path / "w", memory_limit=2 * fault.parameters() - over)
    if over > 0:
        fault.capture(world, ticket())
        return
    with pytest.raises(FaultError, match="may fit into the limit") as caught:
        fault.capture(world, ticket())
    assert "layers" in str(caught.value.hint)


def test_the_default_is_larger_than_a_small_host(tmp_path: Path) -> None:
    FakeWorld(tmp_path / "w", memory_limit=16 * GIB)
    assert oversized().parameters() * 2 > 16 * GIB


def test_its_folder_is_a_configuration_and_links_without_weights(world: FakeWorld) -> None:
    fault = oversized(layers=20, hidden=4096)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    copy = Path(state["scratch"])
    assert sorted(p.name for p in copy.iterdir()) == ["config.json", "tokenizer.json"]
    assert (copy / "tokenizer.json").is_symlink()
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 20
    assert config["hidden_size"] == 4096
    assert config["intermediate_size"] == 12288
    assert config["num_attention_heads"] * config["head_dim"] == 4096
    assert config["num_key_value_heads"] == 4
    assert config["model_type"] == "qwen3"
    assert not {"layer_types", "max_window_layers"} & config.keys()
    override = world.server.started_with[-1]
    assert override.model == copy
    assert list(override.extra_args) == ["--load-format", "dummy"]


def test_an_original_that_changed_is_not_undone(world: FakeWorld) -> None:
    fault = oversized()
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    OversizedModel.revert(world, state)
    assert OversizedModel.verify_undone(world, state).answer == "yes"
    (world.folder / "model" / "tokenizer.json").write_text("{}")
    assert OversizedModel.verify_undone(world, state).answer == "no"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layers": 0}, "greater than or equal to 1"),
        ({"layers": 513}, "less than or equal to 512"),
        ({"hidden": 1000}, "multiple of 128"),
        ({"hidden": 128}, "greater than or equal to 256"),
        ({"hidden": 65536}, "less than or equal to 32768"),
    ],
)
def test_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        oversized(**settings)


def test_manual_names_the_folder(world: FakeWorld) -> None:
    state = oversized().capture(world, ticket())
    assert f"rm -r {state['scratch']}" in OversizedModel.manual(state)
