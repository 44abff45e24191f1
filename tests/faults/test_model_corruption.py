from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors import SafetensorError

from tests.fakes import FakeWorld
from tests.faults.samples import load, ticket
from vqchaos.errors import FaultError
from vqchaos.faults._files import identity
from vqchaos.faults.model_corruption import MANIFEST, ModelCorruption, damage

FILES = ["config.json", "model.safetensors", "tokenizer.json"]
MODES = ["truncate", "header", "config", "tokenizer", "bit_flip", "exponent_flip"]
HIT = {"config": "config.json", "tokenizer": "tokenizer.json"}


def corruption(mode: str, **change: Any) -> ModelCorruption:
    return ModelCorruption.model_validate({"type": "model_corruption", "mode": mode, **change})


def injected(
    world: FakeWorld, fault: ModelCorruption, seed: int = 7
) -> tuple[Path, dict[str, Any]]:
    state = fault.capture(world, ticket(seed=seed))
    fault.inject(world, state, lambda: None)
    return Path(state["scratch"]), state


def original(world: FakeWorld) -> Path:
    return world.folder / "model"


@pytest.mark.parametrize("mode", MODES)
def test_one_file_is_damaged_the_rest_are_links_and_the_original_is_whole(
    world: FakeWorld, mode: str
) -> None:
    before = identity(original(world))
    copy, state = injected(world, corruption(mode))
    hit = HIT.get(mode, "model.safetensors")
    assert sorted(p.name for p in copy.iterdir()) == sorted([*FILES, MANIFEST])
    for name in FILES:
        assert (copy / name).is_symlink() == (name != hit)
        same = (copy / name).read_bytes() == (original(world) / name).read_bytes()
        assert same == (name != hit)
    assert identity(original(world)) == before
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert world.server.started_with[-1].model == copy
    ModelCorruption.revert(world, state)
    assert identity(original(world)) == before
    assert not copy.exists()


def test_links_of_the_original_are_followed_not_damaged(world: FakeWorld, tmp_path: Path) -> None:
    """As in a Hugging Face cache, whose files are links to blobs."""
    blob = tmp_path / "blob"
    weights = original(world) / "model.safetensors"
    weights.rename(blob)
    weights.symlink_to(blob)
    before = blob.read_bytes()
    copy, state = injected(world, corruption("truncate"))
    assert not (copy / weights.name).is_symlink()
    assert blob.read_bytes() == before
    ModelCorruption.revert(world, state)
    assert weights.is_symlink()
    assert blob.read_bytes() == before


def test_truncate_cuts_the_last_file_in_half(world: FakeWorld) -> None:
    folder = original(world)
    shutil.copy(folder / "model.safetensors", folder / "model-00002.safetensors")
    (folder / "model.safetensors").rename(folder / "model-00001.safetensors")
    copy, state = injected(world, corruption("truncate"))
    assert state["changed"] == ["model-00002.safetensors"]
    whole = (folder / "model-00002.safetensors").read_bytes()
    assert (copy / "model-00002.safetensors").read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize("mode", ["truncate", "header"])
def test_the_library_refuses_the_file(world: FakeWorld, mode: str) -> None:
    copy, _ = injected(world, corruption(mode))
    with pytest.raises(SafetensorError):
        load((copy / "model.safetensors").read_bytes())


@pytest.mark.parametrize("mode", ["bit_flip", "exponent_flip"])
def test_the_library_takes_flipped_bits_without_a_word(world: FakeWorld, mode: str) -> None:
    copy, _ = injected(world, corruption(mode, count=3))
    assert len(load((copy / "model.safetensors").read_bytes())) == 4


def test_config_names_an_architecture_that_does_not_exist(world: FakeWorld) -> None:
    copy, _ = injected(world, corruption("config"))
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["NoSuchModelForCausalLM"]
    assert config["hidden_size"] == 16


def test_tokenizer_is_no_json_any_more(world: FakeWorld) -> None:
    copy, _ = injected(world, corruption("tokenizer"))
    with pytest.raises(json.JSONDecodeError):
        json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(count=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_the_manifest_names_exactly_the_bits_that_differ(
    world: FakeWorld, count: int, seed: int
) -> None:
    copy, state = injected(world, corruption("bit_flip", count=count), seed)
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    before = (original(world) / "model.safetensors").read_bytes()
    after = (copy / "model.safetensors").read_bytes()
    one, other = int.from_bytes(before, "little"), int.from_bytes(after, "little")
    assert (one ^ other).bit_count() == count == len(manifest["flips"])
    ModelCorruption.revert(world, state)
    copy, state = injected(world, corruption("bit_flip", count=count), seed)
    assert (copy / "model.safetensors").read_bytes() == after, "the same seed, the same bits"
    ModelCorruption.revert(world, state)


def test_exponent_flip_hits_where_it_cannot_be_overlooked(world: FakeWorld) -> None:
    fault = corruption("exponent_flip")
    copy, state = injected(world, fault)
    (flip,) = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))["flips"]
    assert flip["tensor"] == "model.layers.0.mlp.down_proj.weight"
    assert flip["bit"] == 30
    assert flip["tensor"] in fault.verify(world, state).why


def test_tensor_names_where(world: FakeWorld) -> None:
    copy, _ = injected(world, corruption("exponent_flip", tensor="*q_proj*", count=5))
    flips = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))["flips"]
    assert {(f["tensor"], f["bit"]) for f in flips} == {
        ("model.layers.0.self_attn.q_proj.weight", 14)
    }


def test_only_the_files_that_are_hit_are_copied(world: FakeWorld) -> None:
    folder = original(world)
    header = b'{"elsewhere":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    other = len(header).to_bytes(8, "little") + header + b"\0"
    (folder / "model-00002.safetensors").write_bytes(other)
    copy, state = injected(world, corruption("bit_flip", tensor="elsewhere"))
    assert state["changed"] == ["model-00002.safetensors"]
    assert (copy / "model.safetensors").is_symlink()


def test_a_copy_that_is_like_the_original_is_not_verified(world: FakeWorld) -> None:
    for number, mode in enumerate(("truncate", "bit_flip")):
        fault = corruption(mode)
        state = fault.capture(world, ticket(token=f"same000{number}"))
        fault.inject(world, state, lambda: None)
        copy = Path(state["scratch"])
        shutil.copyfile(original(world) / "model.safetensors", copy / "model.safetensors")
        answer = fault.verify(world, state)
        assert answer.answer == "no"
        assert "like the original" in answer.why
        ModelCorruption.revert(world, state)


def test_a_copy_that_is_gone_is_not_verified(world: FakeWorld) -> None:
    fault = corruption("truncate")
    copy, state = injected(world, fault)
    shutil.rmtree(copy)
    assert fault.verify(world, state).answer == "no"


def test_an_original_that_changed_is_not_undone(world: FakeWorld) -> None:
    _, state = injected(world, corruption("config"))
    weights = original(world) / "model.safetensors"
    stat = weights.stat()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and time say nothing
    ModelCorruption.revert(world, state)
    answer = ModelCorruption.verify_undone(world, state)
    assert answer.answer == "no"
    assert "original" in answer.why


def test_a_full_disk_leaves_nothing_and_the_server_serves_on(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    fault = corruption("truncate")
    state = fault.capture(world, ticket())
    felt: list[None] = []
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        fault.inject(world, state, lambda: felt.append(None))
    assert felt == []
    assert world.mutations == []
    ModelCorruption.revert(world, state)
    assert not Path(state["scratch"]).exists()
    assert ModelCorruption.verify_undone(world, state).answer == "yes"
    assert world.server.latest.generation == 1, "it was never stopped"


@pytest.mark.parametrize(
    ("mode", "gone", "said"),
    [
        ("config", "config.json", "the model has no config.json"),
        ("tokenizer", "tokenizer.json", "the model has no tokenizer.json"),
        ("header", "model.safetensors", "holds no safetensors weights"),
        ("bit_flip", "model.safetensors", "holds no safetensors weights"),
    ],
)
def test_a_model_without_the_file(world: FakeWorld, mode: str, gone: str, said: str) -> None:
    (original(world) / gone).unlink()
    for step in (
        lambda: corruption(mode).plan(world),
        lambda: corruption(mode).capture(world, ticket()),
    ):
        with pytest.raises(FaultError, match=said):
            step()


def test_a_model_folder_that_is_not_there(world: FakeWorld) -> None:
    shutil.rmtree(original(world))
    with pytest.raises(FaultError, match="cannot be read: No such file"):
        corruption("truncate").capture(world, ticket())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "scramble"}, "'truncate', 'header'"),
        ({"mode": "truncate", "count": 2}, "count: only for bit_flip and exponent_flip"),
        ({"mode": "config", "bit": 1, "tensor": "*"}, "bit, tensor: only for bit_flip"),
        ({"mode": "exponent_flip", "bit": 3}, "use bit_flip"),
        ({"mode": "bit_flip", "count": 0}, "greater than or equal to 1"),
        ({"mode": "bit_flip", "bit": 64}, "less than or equal to 63"),
    ],
)
def test_settings(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        corruption(**change)


@pytest.mark.parametrize("mode", MODES)
def test_each_refusal_has_causes_to_look_for(mode: str) -> None:
    assert bool(corruption(mode).expected_causes()) == (not mode.endswith("flip"))


def test_damage_knows_its_modes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        damage(tmp_path, "nonsense")
