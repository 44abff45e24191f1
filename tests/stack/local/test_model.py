from __future__ import annotations

from pathlib import Path

import pytest

from vqchaos.errors import UsageError
from vqchaos.stack.local.model import demo_model_dir, find_model, fingerprint


def test_a_folder_is_relative_to_the_stack_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    found = find_model("./model", tmp_path / "stack.yaml")
    assert (found.folder, found.local) == (tmp_path / "model", True)
    with pytest.raises(UsageError, match="no folder"):
        find_model("./none", tmp_path / "stack.yaml")
    assert find_model("demo", tmp_path / "stack.yaml").folder == demo_model_dir()


def test_a_hub_name_is_looked_up_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    found = find_model("Qwen/Qwen3-0.6B", tmp_path / "stack.yaml")
    assert (found.argument, found.folder, found.local) == ("Qwen/Qwen3-0.6B", None, False)
    repository = tmp_path / "hub" / "models--Qwen--Qwen3-0.6B"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    folder = find_model("Qwen/Qwen3-0.6B", tmp_path / "stack.yaml").folder
    assert folder == repository / "snapshots" / "abc"


def test_one_changed_byte_changes_the_fingerprint(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(1000))
    before = fingerprint(tmp_path)
    weights.write_bytes(bytes(999) + b"\x40")
    after = fingerprint(tmp_path)
    assert before["sha256"] != after["sha256"]
    assert (after["bytes"], after["files"], after["whole"]) == (1000, 1, True)
