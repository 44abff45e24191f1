"""Which bit flips of the weights does the canary see? Offline, in the engine's environment.

    OMP_NUM_THREADS=1 ENGINE_PYTHON benchmarks/corruption_sweep.py [--draws 100] [--minutes 20]

ENGINE_PYTHON is the interpreter of the engine that vqchaos installed. For each bit of a weight and
each number of flips, the fault `model_corruption` damages a copy of the demo model (seeded), the
canaries are asked of it at temperature 0 with transformers, and the canary's own comparison judges
the answers against those of the sound model. Writes docs/corruption.json and docs/corruption.md.
Before that it requires that the sound model's answers are the golden ones, which vLLM gave.

Draws go round the cells, one of each at a time: when the time is up, every cell has as many.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from vqchaos.faults import _safetensors  # noqa: E402
from vqchaos.faults.model_corruption import ModelCorruption  # noqa: E402
from vqchaos.probes.fingerprint import LOGPROB_TOLERANCE, Fingerprint, compare, garbage  # noqa: E402
from vqchaos.probes.golden import GoldenAnswer, read_golden  # noqa: E402

MODEL = ROOT / "src" / "vqchaos" / "data" / "demo-model"
GOLDEN = ROOT / "src" / "vqchaos" / "data" / "demo-golden.json"
JSON = ROOT / "docs" / "corruption.json"
TABLE = ROOT / "docs" / "corruption.md"
COUNTS = (1, 10, 100, 1000)
# Bits of the fraction; those above are the exponent, the highest is the sign.
FRACTION = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7}
SIGNALS = {"tokens": "t", "logprobs": "l", "garbage": "g"}  # as the JSON has them


Cells = dict[tuple[int, int], list[str]]  # (bit, number of flips): the signals of each draw


def kind_of(bit: int, dtype: str) -> str:
    """sign, exponent or fraction (of the mantissa)."""
    if bit == _safetensors.TOP_EXPONENT[dtype] + 1:
        return "sign"
    return "exponent" if bit >= FRACTION[dtype] else "mantissa"


def seed_of(base: int, bit: int, count: int, number: int) -> int:
    return random.Random(f"{base}/{bit}/{count}/{number}").getrandbits(32)


def damaged(folder: Path, bit: int, count: int, seed: int) -> Path:
    """A copy of the model as the fault makes it, in a new folder inside ``folder``."""
    fault = ModelCorruption(type="model_corruption", mode="bit_flip", count=count, bit=bit)
    copy = folder / f"bit{bit}-count{count}-seed{seed}"
    weights = sorted(path.name for path in MODEL.glob("*.safetensors"))
    state = {"scratch": str(copy), "original": str(MODEL), "changed": weights, "seed": seed}
    fault.prepare(None, state)  # type: ignore[arg-type]
    return copy


def signals(expected: Fingerprint, seen: Fingerprint) -> set[str]:
    """What the canary probe would say of this answer."""
    found = {"garbage"} if garbage(seen) else set()
    kind = compare(expected, seen).kind
    if kind != "same":
        found.add("tokens" if kind in ("tokens", "text") else "logprobs")
    return found


@dataclass
class Asker:
    """The model in transformers, asked as the canary asks vLLM: greedy, alone."""

    canaries: tuple[GoldenAnswer, ...]
    prompts: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        import torch  # noqa: PLC0415 (the live script reads this module without torch)
        from transformers import (  # noqa: PLC0415
            AutoTokenizer,
            GenerationConfig,
            Qwen3ForCausalLM,
        )

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self._model = Qwen3ForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
        ends = GenerationConfig.from_pretrained(MODEL).eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends)
        for canary in self.canaries:
            if canary.api == "chat":
                text = self._tokenizer.apply_chat_template(
                    [{"role": "user", "content": canary.prompt}],
                    tokenize=False,
                    add_generation_prompt=True,
                    enable_thinking=False,
                )
                ids = self._tokenizer(text, add_special_tokens=False).input_ids
            else:
                ids = self._tokenizer(canary.prompt).input_ids
            self.prompts.append(ids)

    def load(self, folder: Path) -> None:
        from safetensors.torch import load_file  # noqa: PLC0415

        state = load_file(folder / "model.safetensors")
        missing, unexpected = self._model.load_state_dict(state, strict=False)
        self._model.tie_weights()
        if unexpected or set(missing) - {"lm_head.weight"}:
            raise SystemExit(f"the model does not fit: {missing}, {unexpected}")

    def answer(self, number: int, expected: Fingerprint | None) -> Fingerprint:
        """Greedy decoding. As long as the tokens are the expected ones, one pass over them all
        gives the same log-probabilities in a fraction of the time; anything else is decoded token
        by token."""
        if expected is not None:
            same = self._as_expected(self.prompts[number], expected)
            if same is not None:
                return same
        return self._decode(self.prompts[number], self.canaries[number].max_tokens)

    def _as_expected(self, prompt: list[int], expected: Fingerprint) -> Fingerprint | None:
        torch = self._torch
        tokens = list(expected.tokens)
        logits = self._model(torch.tensor([prompt + tokens[:-1]])).logits[0, len(prompt) - 1 :]
        # A weight that is not finite may reach earlier positions through 0 * inf in this pass.
        if not bool(torch.isfinite(logits).all()) or logits.argmax(-1).tolist() != tokens:
            return None
        values = torch.log_softmax(logits, -1)[range(len(tokens)), tokens].tolist()
        return Fingerprint(expected.text, tokens, values)

    def _decode(self, prompt: list[int], limit: int) -> Fingerprint:
        torch = self._torch
        tokens: list[int] = []
        values: list[float] = []
        feed, cache = torch.tensor([prompt]), None
        while len(tokens) < limit and not (tokens and tokens[-1] in self._ends):
            out = self._model(feed, past_key_values=cache, use_cache=True)
            cache, logits = out.past_key_values, out.logits[0, -1]
            token = int(logits.argmax())
            tokens.append(token)
            values.append(float(torch.log_softmax(logits, -1)[token]))
            feed = torch.tensor([[token]])
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return Fingerprint(text, tokens, values)


def agreement(asker: Asker) -> tuple[list[Fingerprint], float]:
    """The sound model's answers, and the largest gap to the log-probabilities that vLLM gave."""
    answers, worst = [], 0.0
    for number, canary in enumerate(asker.canaries):
        seen = asker.answer(number, None)
        found = compare(canary.fingerprint, seen)
        if not found.same or garbage(seen):
            raise SystemExit(f"transformers and vLLM disagree on '{canary.name}': {found.why}")
        pairs = zip(canary.logprobs, seen.logprobs, strict=True)
        worst = max(worst, *(abs(a - b) for a, b in pairs))
        answers.append(seen)
    return answers, worst


def ask_all(asker: Asker, sound: list[Fingerprint]) -> str:
    """The letters of the signals that any canary gave; empty if the damage was not seen."""
    found: set[str] = set()
    for number, expected in enumerate(sound):
        found |= signals(expected, asker.answer(number, expected))
    return letters(found)


def letters(found: set[str]) -> str:
    return "".join(letter for name, letter in SIGNALS.items() if name in found)


def sweep(asker: Asker, sound: list[Fingerprint], options: argparse.Namespace) -> Cells:
    dtype, bits = weights_dtype()
    print(f"{dtype}: {bits} bits x {len(COUNTS)} counts, up to {options.draws} draws", flush=True)
    limit = time.process_time() + options.minutes * 60
    cells: Cells = {(bit, count): [] for bit in range(bits) for count in COUNTS}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.draws):
            if time.process_time() > limit:
                print(f"the time is up: {number} draws a cell", flush=True)
                break
            for (bit, count), seen in cells.items():
                copy = damaged(Path(scratch), bit, count, seed_of(options.seed, bit, count, number))
                asker.load(copy)
                shutil.rmtree(copy)
                seen.append(ask_all(asker, sound))
            if number % 10 == 9:
                print(f"{number + 1} draws a cell: {time.process_time():.0f} s of CPU", flush=True)
    return cells


def weights_dtype() -> tuple[str, int]:
    """The element type that every weight has, and its bits."""
    found = {t.dtype: t.width for p in MODEL.glob("*.safetensors") for t in _safetensors.tensors(p)}
    if len(found) != 1:
        raise SystemExit(f"weights of several types: {sorted(found)}")
    dtype, width = found.popitem()
    return dtype, 8 * width


def table(result: dict[str, Any]) -> str:
    """docs/corruption.md."""
    dtype = result["dtype"]
    by_bit: Cells = {(cell["bit"], cell["count"]): cell["draws"] for cell in result["cells"]}
    by_kind: dict[tuple[str, int], list[str]] = defaultdict(list)
    all_of: dict[str, list[str]] = defaultdict(list)
    for (bit, count), draws in by_bit.items():
        by_kind[kind_of(bit, dtype), count] += draws
        all_of[kind_of(bit, dtype)] += draws
    everything = [draw for draws in by_bit.values() for draw in draws]

    def row(label: str, cells: list[list[str]]) -> str:
        shares = [f"{sum(map(bool, draws)) / len(draws):.1%} of {len(draws)}" for draws in cells]
        return f"| {label} | {' | '.join(shares)} |"

    kinds = ("sign", "exponent", "mantissa")
    flips = "| | " + " | ".join(f"{count} flipped" for count in COUNTS) + " |"
    rule = "|---|" + "---|" * len(COUNTS)
    ways = []
    for kind in kinds:
        draws = all_of[kind]
        tokens = sum("t" in draw for draw in draws)
        only = sum("t" not in draw and "l" in draw for draw in draws)
        unseen, trash = draws.count(""), sum("g" in draw for draw in draws)
        ways.append(f"| {kind} | {len(draws)} | {tokens} | {only} | {unseen} | {trash} |")
    return "\n".join(
        [
            "# Silent corruption: which bit flips the canary sees",
            "",
            f"{len(everything)} damaged copies of the demo model ({dtype} weights); the "
            f"{result['canaries']} built-in canaries saw {sum(map(bool, everything))} of them. A "
            "cell is the share of draws that were seen, and how many there were. The fault "
            "`model_corruption` (`mode: bit_flip`) draws the flips evenly over all weights; the "
            "comparison is the canary's own (tokens, log-probabilities within "
            f"{result['tolerance']:g}, garbage), with the sound model's answers.",
            "",
            f"    {result['command']}",
            "",
            f"{result['seconds_per_bit']:.1f} s of CPU a bit position "
            f"({result['draws_per_cell']} draws x {len(COUNTS)} numbers of flips), one thread; "
            f"torch {result['torch']}, transformers {result['transformers']}. On the sound model "
            "transformers gives the golden tokens that vLLM "
            f"{result['engine']} gave, and log-probabilities within {result['agreement']:.2g} of "
            "its. `benchmarks/corruption_live.py` puts single draws to a live vLLM.",
            "",
            "A draw that is not seen changed no canary's token and no log-probability by more than "
            "the tolerance: it may still change other answers. A larger model has more weights "
            "that no canary touches; the figures are the demo model's.",
            "",
            "In F32 the exponent of a weight between 2^-15 and 2 has bit 30 clear and bits 27 to "
            "29 set: bit 30 makes it huge, 27 to 29 as good as zero, which a model bears.",
            "",
            "## By kind of bit",
            "",
            flips,
            rule,
            *[row(kind, [by_kind[kind, count] for count in COUNTS]) for kind in kinds],
            "",
            "## What saw it",
            "",
            "Garbage is counted apart: the detectors need no reference.",
            "",
            "| | draws | other tokens | only other log-probabilities | not seen | garbage |",
            "|---|---|---|---|---|---|",
            *ways,
            "",
            "## By bit",
            "",
            flips,
            rule,
            *[
                row(f"{bit} ({kind_of(bit, dtype)})", [by_bit[bit, count] for count in COUNTS])
                for bit in sorted({bit for bit, _ in by_bit}, reverse=True)
            ],
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=100, help="damaged models per cell")
    parser.add_argument("--minutes", type=float, default=20.0, help="of CPU; the round is ended")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    options = parser.parse_args()
    if options.table:
        TABLE.write_text(table(json.loads(JSON.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    golden = read_golden(GOLDEN)
    asker = Asker(golden.canaries)
    sound, worst = agreement(asker)
    print(f"the sound model: golden tokens, log-probabilities within {worst:.2g}", flush=True)
    began = time.process_time()
    cells = sweep(asker, sound, options)
    dtype, bits = weights_dtype()
    words = " ".join(["benchmarks/corruption_sweep.py", *sys.argv[1:]])
    result = {
        "command": f"OMP_NUM_THREADS=1 ENGINE_PYTHON {words}",
        "seed": options.seed,
        "dtype": dtype,
        "canaries": len(golden.canaries),
        "engine": golden.engine_version,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "agreement": worst,
        "tolerance": LOGPROB_TOLERANCE,
        "draws_per_cell": len(cells[0, 1]),
        "seconds_per_bit": (time.process_time() - began) / bits,
        "signals": {letter: name for name, letter in SIGNALS.items()},
        "cells": [
            {"bit": bit, "count": count, "draws": seen} for (bit, count), seen in cells.items()
        ],
    }
    head = json.dumps({**result, "cells": []}, indent=1).removesuffix("[]\n}")
    rows = ",\n  ".join(json.dumps(cell) for cell in result["cells"])  # a line a cell
    JSON.write_text(f"{head}[\n  {rows}\n ]\n}}\n", encoding="utf-8")
    TABLE.write_text(table(result), encoding="utf-8")
    print(f"wrote {JSON.relative_to(ROOT)} and {TABLE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
