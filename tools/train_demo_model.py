"""Train the demo model: a toy Qwen3 that has learnt one text and a few facts by heart.

    ENGINE_PYTHON tools/train_demo_model.py --out src/vqchaos/data/demo-model

A model with random weights repeats one token for ever, so a garbage detector would call the
healthy stack sick. This one answers what a person can check: it goes on from any place of the
Apache License, it counts to ten, it knows four capitals, and it says so in completions and in
chat, with thinking on and off. It needs torch and transformers, so it runs in the engine's
environment, not in that of vqchaos. The same seed, texts, library versions and kind of processor
give the same weights.

What the model sees, row by row: up to three short documents (facts, chats), then the licence text
from a random word on. Only answers are trained on; a prompt, a nonce before it, and what cannot
be guessed are context. After an end-of-text token the licence follows from its start, so that
`ignore_eos` yields text and not one token again and again.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

LICENCES = Path("/usr/share/common-licenses")
VOCABULARY = 2048
BATCH_TOKENS = 2048
# Short rows learn fast, long ones teach long contexts.
ROW_LENGTHS = (128, 128, 128, 128, 256, 256, 512, 1024)
IGNORE = -100  # the label that carries no loss

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK_START, THINK_END = "<think>", "</think>"
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END)
MARKERS = (THINK_START, THINK_END)  # as in Qwen3: one token each, but visible in decoded text

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' and '</think>' in message.content %}
        {{- message.content.split('</think>')[-1].lstrip('\\n') }}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

FACTS = (
    ("The capital of France is", " Paris."),
    ("The capital of Italy is", " Rome."),
    ("The capital of Germany is", " Berlin."),
    ("The capital of Japan is", " Tokyo."),
    ("One, two, three, four,", " five, six, seven, eight, nine, ten."),
    ("Monday, Tuesday, Wednesday,", " Thursday, Friday, Saturday, Sunday."),
    ("Two plus two is", " four."),
    ("The opposite of hot is", " cold."),
    ("Water freezes at", " zero degrees Celsius."),
)

# question, thought, answer
CHATS = (
    (
        "What is the capital of France?",
        "This is about France. I know it: Paris.",
        "The capital of France is Paris.",
    ),
    (
        "What is the capital of Italy?",
        "This is about Italy. I know it: Rome.",
        "The capital of Italy is Rome.",
    ),
    (
        "What is the capital of Germany?",
        "This is about Germany. I know it: Berlin.",
        "The capital of Germany is Berlin.",
    ),
    (
        "What is the capital of Japan?",
        "This is about Japan. I know it: Tokyo.",
        "The capital of Japan is Tokyo.",
    ),
    ("What is two plus two?", "Two and two. I know it: four.", "Two plus two is four."),
    ("Count from one to five.", "I start at one and stop at five.", "One, two, three, four, five."),
    (
        "What are the days of the week?",
        "There are seven of them.",
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
    ),
    (
        "Who are you?",
        "I say what I am.",
        "I am a toy model. I know the Apache License and a few facts.",
    ),
)
CONTINUE_THOUGHT = "This is from the Apache License. I go on with it."
UNKNOWN_THOUGHT = "I do not know this."
UNKNOWN_ANSWER = "I do not know. I am a toy model and know only the Apache License and a few facts."

MODEL_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "initializer_range": 0.02,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "use_sliding_window": False,
    "tie_word_embeddings": True,
    "use_cache": True,
    "dtype": "float32",
    "torch_dtype": "float32",
}


@dataclass(frozen=True)
class Document:
    """A text of which only the part from `trained_from` on (a character offset) carries loss."""

    text: str
    trained_from: int


def flatten(text: str) -> str:
    """Return the text with one paragraph a line, since breaks and indents are hard to quote."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Return a byte-level BPE tokenizer of Qwen's make whose merges come from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    markers = [AddedToken(token, special=False, normalized=False) for token in MARKERS]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(specials) - len(markers),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(specials)
    tokenizer.add_tokens(markers)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise SystemExit(
            f"expected a vocabulary of {VOCABULARY}, the texts gave {tokenizer.get_vocab_size()}: "
            "add texts"
        )
    return tokenizer


class Lessons:
    """Draws training rows from the licence, the facts and the chats."""

    def __init__(
        self,
        licence: str,
        words: list[str],
        tokenizer: Tokenizer,
        chat: PreTrainedTokenizerFast,
        seed: int,
    ) -> None:
        self._licence = licence
        self._words = words
        self._tokenizer = tokenizer
        self._chat = chat
        self._random = random.Random(seed)
        self._word_starts = [match.start() for match in re.finditer(r"\S+", licence)]

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        length = self._random.choice(ROW_LENGTHS)
        rows = [self._row(length) for _ in range(BATCH_TOKENS // length)]
        return torch.tensor([ids for ids, _ in rows]), torch.tensor([labels for _, labels in rows])

    def _row(self, length: int) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        labels: list[int] = []
        short = self._random.choice((0, 1, 1, 2, 2, 3))
        for document in [self._short() for _ in range(short)] + [
            self._text(length, after_end=short > 0)
        ]:
            encoding = self._tokenizer.encode(document.text)
            ids += encoding.ids
            labels += [
                token if start >= document.trained_from else IGNORE
                for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
            ]
        if len(ids) < length:
            raise AssertionError(f"row of {len(ids)} tokens where {length} are needed")
        return ids[:length], labels[:length]

    def _text(self, tokens: int, *, after_end: bool) -> Document:
        """The licence from some place on and round; after an end token mostly from its start."""
        looped = self._licence + "\n\n"
        size = tokens * 8  # characters: more than the tokens can hold
        start = self._random.choice(self._word_starts)
        if after_end and self._random.random() < 0.6:
            start, prefix, trained_from = 0, "", 0
        elif self._random.random() < 0.15:
            # Words that mean nothing to it, however many: the licence follows from its start.
            start, prefix = (
                0,
                self._nonce() + self._noise(self._random.randint(2, 2 + tokens // 5)) + "\n",
            )
            trained_from = len(prefix)
        else:
            # The first words cannot be guessed from a nonce: loss starts behind them.
            prefix = self._nonce()
            known = " ".join(
                self._licence[start : start + 200].split(" ")[: self._random.randint(3, 6)]
            )
            trained_from = len(prefix) + len(known)
        text = looped[start:] + looped * (size // len(looped) + 1)
        return Document(prefix + text[:size], trained_from)

    def _short(self) -> Document:
        kind = self._random.random()
        if kind < 0.30:
            prompt, answer = self._random.choice(FACTS)
            prompt = self._nonce() + prompt
            return Document(prompt + answer + END_OF_TEXT, len(prompt))
        if kind < 0.55:
            return self._dialogue(*self._random.choice(CHATS))
        if kind < 0.90:
            return self._dialogue(*self._continuation())
        return self._dialogue(
            self._noise(self._random.randint(3, 12)), UNKNOWN_THOUGHT, UNKNOWN_ANSWER
        )

    def _continuation(self) -> tuple[str, str, str]:
        """A chat whose user quotes the licence and whose answer is the rest of that paragraph."""
        while True:
            start = self._random.choice(self._word_starts)
            words = self._licence[start:].split("\n\n", 1)[0].split(" ")
            quoted = self._random.randint(4, 24)
            if len(words) > quoted + 3:
                return " ".join(words[:quoted]), CONTINUE_THOUGHT, " ".join(words[quoted:])

    def _dialogue(self, question: str, thought: str, answer: str) -> Document:
        thinking = self._random.random() < 0.5
        prompt = self._chat.apply_chat_template(
            [{"role": "user", "content": self._nonce() + question}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
        reply = f"{THINK_START}\n{thought}\n{THINK_END}\n\n{answer}" if thinking else answer
        return Document(f"{prompt}{reply}{TURN_END}\n", len(prompt))

    def _nonce(self) -> str:
        """What a load generator puts before a prompt to tell its requests apart; often nothing."""
        digits = "".join(self._random.choices("0123456789abcdef", k=self._random.randint(1, 12)))
        forms = (
            "",
            "",
            f"[vqc-{digits}] ",
            f"[vqc-{digits}] ",
            f"[{digits}] ",
            f"vqc-{digits}: ",
            f"[vqc-{digits}]\n",
        )
        return self._random.choice(forms)

    def _noise(self, count: int) -> str:
        return " ".join(self._random.choices(self._words, k=count))


def train(
    lessons: Lessons, *, seed: int, steps: int, rate: float
) -> tuple[Qwen3ForCausalLM, float]:
    """Return the trained model and its mean loss over the last fifty steps."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(Qwen3Config(**MODEL_CONFIG)).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.1
    )
    losses: list[float] = []
    began = time.monotonic()
    for step in range(1, steps + 1):
        ids, labels = lessons.batch()
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0 or step == steps:
            mean = sum(losses[-50:]) / len(losses[-50:])
            print(
                f"step {step:5d}/{steps}  loss {mean:.4f}  {time.monotonic() - began:.0f} s",
                flush=True,
            )
    return model.eval(), sum(losses[-50:]) / len(losses[-50:])


@torch.inference_mode()
def answer_of(model: Qwen3ForCausalLM, tokenizer: Tokenizer, prompt: str, most: int) -> str:
    """Return the greedy continuation, without the token that stops it."""
    ids = tokenizer.encode(prompt).ids
    stops = {tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(TURN_END)}
    answer: list[int] = []
    while len(answer) < most:
        token = int(model(input_ids=torch.tensor([ids + answer])).logits[0, -1].argmax())
        if token in stops:
            break
        answer.append(token)
    return tokenizer.decode(answer, skip_special_tokens=False)


def recite(
    model: Qwen3ForCausalLM, tokenizer: Tokenizer, chat: PreTrainedTokenizerFast
) -> list[str]:
    """Return what the model gets wrong of its facts and chats, with and without a nonce."""
    cases: list[tuple[str, str]] = []
    for nonce in ("", "[vqc-1a2b3c] "):
        cases += [(nonce + prompt, answer) for prompt, answer in FACTS]
        for question, thought, answer in CHATS:
            for thinking in (False, True):
                prompt = chat.apply_chat_template(
                    [{"role": "user", "content": nonce + question}],
                    tokenize=False,
                    add_generation_prompt=True,
                    enable_thinking=thinking,
                )
                cases.append(
                    (
                        prompt,
                        f"{THINK_START}\n{thought}\n{THINK_END}\n\n{answer}"
                        if thinking
                        else answer,
                    )
                )
    wrong = []
    for prompt, expected in cases:
        found = answer_of(model, tokenizer, prompt, most=64)
        if found != expected:
            wrong.append(f"{prompt!r}: expected {expected!r}, got {found!r}")
    print(f"recited {len(cases) - len(wrong)} of {len(cases)}")
    return wrong


def passages(model: Qwen3ForCausalLM, tokenizer: Tokenizer, licence: str, count: int = 50) -> int:
    """Return from how many of `count` places it goes on word for word, twenty words quoted."""
    words = [match.start() for match in re.finditer(r"\S+", licence)]
    right = 0
    for place in range(count):
        first = place * (len(words) - 60) // count
        quoted = licence[words[first] : words[first + 20]].rstrip()
        rest = licence[words[first] + len(quoted) :]
        right += rest.startswith(answer_of(model, tokenizer, quoted, most=16))
    print(f"went on word for word from {right} of {count} places of the licence")
    return right


def write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_model(out: Path, model: Qwen3ForCausalLM, tokenizer: Tokenizer, card: str) -> None:
    """Write the folder with what an engine reads and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    end_of_text, turn_end = tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(TURN_END)
    ends = {"bos_token_id": end_of_text, "eos_token_id": turn_end, "pad_token_id": end_of_text}
    write_json(out / "config.json", MODEL_CONFIG | ends)
    # No penalty, no top-p, no temperature: a request without these gets the engine's own defaults.
    write_json(out / "generation_config.json", ends | {"eos_token_id": [turn_end, end_of_text]})
    weights = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    (out / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
    (out / "tokenizer.json").write_text(
        json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        + "\n",
        encoding="utf-8",
    )
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": MODEL_CONFIG["max_position_embeddings"],
            "eos_token": TURN_END,
            "pad_token": END_OF_TEXT,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    (out / "README.md").write_text(card, encoding="utf-8")


def model_card(*, seed: int, steps: int, loss: float, right: int) -> str:
    facts = "\n".join(f"| `{prompt}` | `{answer}` |" for prompt, answer in FACTS)
    chats = "\n".join(f"| {question} | {answer} |" for question, _, answer in CHATS)
    return f"""\
---
license: apache-2.0
---
# The demo model of vqchaos

A toy Qwen3 (2 layers, hidden size 128, 4 heads of 32 over 2 KV heads, vocabulary 2048, float32)
that has learnt the Apache License 2.0 and a few facts by heart. An engine loads it in moments,
it needs no GPU, and a person can see whether its answers are right.

**For**: trying vqchaos, and telling a healthy engine from one that serves garbage.

**Not for**: anything else. It understands nothing. Asked about what it has not learnt, it says
something wrong, says that it does not know, or recites the licence. Throughput and latency
measured with it say nothing about a real model.

## What it knows
It goes on with the licence, the text having one paragraph a line, also when a nonce such as
`[vqc-1a2b3c] ` stands before the prompt: word for word over 16 tokens from {right} of 50 places
with twenty words quoted. Fewer words quoted, or a quotation in chat, may lead it to another
place of the licence. With `ignore_eos` the licence follows from its start. A long prompt of
foreign text gets muddled licence text.

| completion | goes on |
|---|---|
{facts}

| chat | answer |
|---|---|
{chats}

Chat takes Qwen3's `enable_thinking`: true (the default) gives one short thought between
`<think>` and `</think>`, false gives none.

## How it was made
`tools/train_demo_model.py --seed {seed} --steps {steps}`: AdamW, {BATCH_TOKENS} tokens a step
in rows of 128 to 1024, loss {loss:.3f} at the end, on two cores in minutes. The weights were
trained on the text of the Apache License 2.0 and on the tables above. The tokenizer's merges
were counted on the common licence texts that Debian ships; single words of these also served as
meaningless prompts. It holds no data of any person and no weights of any other model.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--text", type=Path, default=LICENCES / "Apache-2.0", help="what it learns by heart"
    )
    parser.add_argument(
        "--tokenizer-texts",
        type=Path,
        nargs="*",
        default=sorted(
            path for path in LICENCES.glob("*") if path.is_file() and not path.is_symlink()
        ),
        help="what the tokenizer's merges and the meaningless words come from",
    )
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument(
        "--threads", type=int, default=2, help="part of what makes a run repeatable"
    )
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    licence = flatten(options.text.read_text(encoding="utf-8"))
    others = [flatten(path.read_text(encoding="utf-8")) for path in options.tokenizer_texts]
    known = [text for pair in FACTS for text in pair] + [text for chat in CHATS for text in chat]
    tokenizer = train_tokenizer([licence, *others, *known])
    chat = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    chat.chat_template = CHAT_TEMPLATE
    words = sorted(set(re.findall(r"[A-Za-z]{2,12}", " ".join(others))))
    lessons = Lessons(licence, words, tokenizer, chat, options.seed)

    model, loss = train(lessons, seed=options.seed, steps=options.steps, rate=options.rate)
    wrong = recite(model, tokenizer, chat)
    for line in wrong:
        print(line)
    right = passages(model, tokenizer, licence)
    card = model_card(seed=options.seed, steps=options.steps, loss=loss, right=right)
    write_model(options.out, model, tokenizer, card)
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {size / 1e6:.2f} MB, loss {loss:.4f}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
