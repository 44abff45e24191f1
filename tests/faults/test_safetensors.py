from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import make_model
from tests.faults.samples import load
from vqchaos.errors import FaultError
from vqchaos.faults._safetensors import TOP_EXPONENT, Tensor, choose, flip, flip_bit, tensors

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}


def write(path: Path, dtype: str, payload: bytes, *, more: dict[str, object] | None = None) -> None:
    count = len(payload) // WIDTHS[dtype]
    info = {"dtype": dtype, "shape": [count], "data_offsets": [0, len(payload)]}
    header = json.dumps({"w": info, **(more or {})}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + payload)


def differing_bits(one: bytes, other: bytes) -> set[int]:
    """Places of the bits that differ: 8 x byte + bit."""
    assert len(one) == len(other)
    different = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return {place for place in range(8 * len(one)) if different >> place & 1}


@st.composite
def a_bit(draw: st.DrawFn) -> tuple[str, bytes, int, int]:
    dtype = draw(st.sampled_from(sorted(WIDTHS)))
    width = WIDTHS[dtype]
    count = draw(st.integers(1, 16))
    payload = draw(st.binary(min_size=width * count, max_size=width * count))
    return (
        dtype,
        payload,
        draw(st.integers(0, count - 1)),
        draw(st.integers(0, 8 * width - 1)),
    )


@given(case=a_bit())
def test_exactly_the_named_bit_differs_and_twice_is_the_original(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, bytes, int, int]
) -> None:
    dtype, payload, element, bit = case
    folder = tmp_path_factory.mktemp("flip")
    path = folder / "m.safetensors"
    write(path, dtype, payload)
    before = path.read_bytes()
    (tensor,) = tensors(path)
    done = flip_bit(folder, tensor, element, bit)
    start = len(before) - len(payload)
    place = 8 * (start + element * WIDTHS[dtype]) + bit
    assert differing_bits(before, path.read_bytes()) == {place}
    assert int(done.before, 16) ^ int(done.after, 16) == 1 << bit
    assert (done.tensor, done.element, done.bit) == ("w", element, bit)
    flip_bit(folder, tensor, element, bit)
    assert path.read_bytes() == before


@given(count=st.integers(1, 64), seed=st.integers(0, 2**63), bit=st.one_of(st.none(), st.just(3)))
def test_so_many_different_bits_differ_and_a_seed_repeats_them(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, bit: int | None
) -> None:
    folders = [tmp_path_factory.mktemp("flips") for _ in range(2)]
    for folder in folders:
        write(folder / "m.safetensors", "F32", bytes(256))
    before = (folders[0] / "m.safetensors").read_bytes()
    done = []
    for folder in folders:
        chosen = choose([folder / "m.safetensors"], "*", bit, exponent=False)
        done.append(flip(folder, chosen, count, seed))
    assert done[0] == done[1]
    after = [(folder / "m.safetensors").read_bytes() for folder in folders]
    assert after[0] == after[1]
    places = differing_bits(before, after[0])
    assert len(places) == count
    if bit is not None:
        payload = 8 * (len(before) - 256)
        assert {(place - payload) % 32 for place in places} == {bit}


def test_two_seeds_differ(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", "F32", bytes(4096))
    chosen = choose([tmp_path / "m.safetensors"], "*", None, exponent=False)
    assert flip(tmp_path, chosen, 4, 1) != flip(tmp_path, chosen, 4, 2)


def test_more_bits_than_there_are(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", "F16", bytes(8))
    chosen = choose([tmp_path / "m.safetensors"], "*", 3, exponent=False)
    assert len(flip(tmp_path, chosen, 4, 0)) == 4
    with pytest.raises(FaultError, match="count 5 is more than the 4 bits"):
        flip(tmp_path, chosen, 5, 0)


@pytest.mark.parametrize(
    ("dtype", "bit", "one", "huge"),
    [
        # 0.5's exponent with its top bit turned: 0.5 x 2 ** 128 (16 for float16, 1024 for float64)
        ("F32", 30, struct.pack("<f", 0.5), struct.pack("<f", 0.5 * 2.0**128)),
        ("BF16", 14, struct.pack("<f", 0.5)[2:], struct.pack("<f", 0.5 * 2.0**128)[2:]),
        ("F16", 14, struct.pack("<e", 0.5), struct.pack("<e", 0.5 * 2.0**16)),
        ("F64", 62, struct.pack("<d", 0.5), struct.pack("<d", 2.0**1023)),
    ],
)
def test_the_top_exponent_bit_of_each_dtype(
    tmp_path: Path, dtype: str, bit: int, one: bytes, huge: bytes
) -> None:
    path = tmp_path / "m.safetensors"
    write(path, dtype, one)
    chosen = choose([path], "*", None, exponent=True)
    assert chosen == [(tensors(path)[0], bit)]
    assert TOP_EXPONENT[dtype] == bit
    flip(tmp_path, chosen, 1, 0)
    assert path.read_bytes().endswith(huge)


def test_our_reading_of_the_format_is_that_of_the_library(tmp_path: Path) -> None:
    make_model(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    data = path.read_bytes()
    theirs = load(data)
    ours = {t.name: data[t.start : t.start + t.count * t.width] for t in tensors(path)}
    assert ours == theirs


def test_metadata_and_unknown_dtypes_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    more = {
        "__metadata__": {"format": "pt"},
        "q": {"dtype": "F8_E4M3", "shape": [0], "data_offsets": [4, 4]},
    }
    write(path, "F32", bytes(4), more=more)
    assert [t.name for t in tensors(path)] == ["w"]


def test_choose_by_name_and_bit(tmp_path: Path) -> None:
    make_model(tmp_path / "m")
    files = [tmp_path / "m" / "model.safetensors"]

    def names(chosen: list[tuple[Tensor, int | None]]) -> list[str]:
        return [tensor.name.split(".")[-2] for tensor, _ in chosen]

    assert names(choose(files, "*", 30, exponent=False)) == ["embed_tokens", "down_proj"]
    assert names(choose(files, "*proj*", None, exponent=False)) == ["down_proj", "q_proj"]
    with pytest.raises(FaultError, match="no tensor matches 'nothing'"):
        choose(files, "nothing", None, exponent=False)
    with pytest.raises(FaultError, match="'\\*norm\\*' has bit 30"):
        choose(files, "*norm*", 30, exponent=False)


def test_whole_numbers_have_no_exponent(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", "I32", bytes(8))
    with pytest.raises(FaultError, match="has an exponent"):
        choose([tmp_path / "m.safetensors"], "*", None, exponent=True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 2**40),
        struct.pack("<Q", 5) + b"hello",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 7) + b'{"w":1}',
        struct.pack("<Q", 8) + b'{"w":{}}',
    ],
)
def test_what_is_no_safetensors_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(FaultError, match=r"m\.safetensors is not a safetensors file"):
        tensors(path)
