"""Flipping bits of safetensors files in place: the header is read, only the payload changes.

The format: 8 bytes of header length (little endian), a JSON header with each tensor's dtype, shape
and offsets, then the payload.
"""

from __future__ import annotations

import json
import random
import struct
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from vqchaos.errors import FaultError

_WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}
# The highest bit of the exponent: flipped on a weight below 2 in size, it multiplies it by
# 2 ** 128 (float32, bfloat16), 2 ** 16 (float16) or 2 ** 1024 (float64).
TOP_EXPONENT = {"F64": 62, "F32": 30, "F16": 14, "BF16": 14}
_HEADER_LIMIT = 100 * 1024**2


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's place: bytes from ``start`` in its file, ``count`` elements of ``dtype``."""

    file: str
    name: str
    dtype: str
    start: int
    count: int

    @property
    def width(self) -> int:
        return _WIDTH[self.dtype]


@dataclass(frozen=True, slots=True)
class Flip:
    """One bit that was turned: bit 0 is the lowest of the element."""

    file: str
    tensor: str
    element: int
    bit: int
    before: str  # the element's bytes, hexadecimal, highest first
    after: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def tensors(path: Path) -> list[Tensor]:
    """The tensors of one file, in order. Raises FaultError if it is no safetensors file."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        out = []
        for name, info in header.items():
            if name == "__metadata__" or info["dtype"] not in _WIDTH:
                continue
            begin, end = info["data_offsets"]
            dtype = info["dtype"]
            count = (end - begin) // _WIDTH[dtype]
            out.append(Tensor(path.name, name, dtype, 8 + length + begin, count))
    except (OSError, ValueError, struct.error) as error:
        raise FaultError(f"{path.name} is not a safetensors file: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise FaultError(f"{path.name} is not a safetensors file: odd header") from error
    return out


def choose(
    files: list[Path], pattern: str, bit: int | None, *, exponent: bool
) -> list[tuple[Tensor, int | None]]:
    """The tensors that match ``pattern`` and have that bit, each with the bit to flip (None: any).

    Raises FaultError if none does.
    """
    matching = [t for path in files for t in tensors(path) if fnmatch(t.name, pattern) and t.count]
    if not matching:
        raise FaultError(
            f"no tensor matches '{pattern}'", hint="see the names in the model's index"
        )
    out: list[tuple[Tensor, int | None]] = []
    for tensor in matching:
        wanted = TOP_EXPONENT.get(tensor.dtype) if exponent and bit is None else bit
        if exponent and wanted is None:
            continue
        if wanted is None or wanted < 8 * tensor.width:
            out.append((tensor, wanted))
    if not out:
        wanted_bit = "an exponent" if exponent and bit is None else f"bit {bit}"
        raise FaultError(f"no tensor that matches '{pattern}' has {wanted_bit}")
    return out


def flip(
    folder: Path, chosen: list[tuple[Tensor, int | None]], count: int, seed: int
) -> list[Flip]:
    """Flip ``count`` different bits, drawn by ``seed`` evenly over the elements."""
    draw = random.Random(seed)
    weights = [tensor.count for tensor, _ in chosen]
    done: dict[tuple[str, str, int, int], Flip] = {}
    possible = sum(t.count * (1 if bit is not None else 8 * t.width) for t, bit in chosen)
    if count > possible:
        raise FaultError(f"count {count} is more than the {possible} bits that may be flipped")
    while len(done) < count:
        tensor, bit = draw.choices(chosen, weights)[0]
        element = draw.randrange(tensor.count)
        place = bit if bit is not None else draw.randrange(8 * tensor.width)
        key = (tensor.file, tensor.name, element, place)
        if key not in done:
            done[key] = flip_bit(folder, tensor, element, place)
    return list(done.values())


def flip_bit(folder: Path, tensor: Tensor, element: int, bit: int) -> Flip:
    """Turn one bit of one element, in place. Doing it twice restores the file."""
    with (folder / tensor.file).open("r+b") as file:
        file.seek(tensor.start + element * tensor.width)
        before = file.read(tensor.width)
        value = int.from_bytes(before, "little") ^ (1 << bit)
        after = value.to_bytes(tensor.width, "little")
        file.seek(-tensor.width, 1)
        file.write(after)
    return Flip(tensor.file, tensor.name, element, bit, before[::-1].hex(), after[::-1].hex())
