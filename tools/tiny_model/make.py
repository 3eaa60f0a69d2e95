"""Trains the tiny model in about seven minutes on one core: python -m tools.tiny_model.make
OUT.gguf [--seconds 360]

It trains a tokenizer and a network of 180,000 weights on lessons made up on the spot (lessons.py),
writes both as one GGUF file with template.jinja inside (network.py), and examines the model on
prompts it has never seen. Needs torch, tokenizers and gguf, which the proxy itself does not:
README.md names the versions.

The seeds are fixed, but the training goes by the clock, and so a second run ends with slightly
other weights.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from tools.tiny_model import lessons, network
from tools.tiny_model.lessons import Kind, Lesson

TEMPLATE = Path(__file__).parents[2] / "proxy/tiny_model/template.jinja"
SEED = 0
BATCH = 16
LEARNING_RATE = 3e-3
REPORT_EVERY = 20.0  # seconds
# Characters of a prompt; about 2.5 make a token.
EXAMINATION = (0, 400, 2_000, 8_000, 20_000, 60_000)
PROMPTS_PER_LENGTH = 3
QUESTIONS: tuple[tuple[Kind, bool, str], ...] = (
    ("call", False, "tools, a user's message: calls bash"),
    ("call", True, "the same ending in /think: thinks, calls bash"),
    ("final", False, "a tool's result: says that it is done"),
    ("plain", False, "no tools: says so"),
    ("plain", True, "the same ending in /think: thinks, says so"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.tiny_model.make",
        description="Train the tiny tool-calling model, and write it as a GGUF file.",
    )
    parser.add_argument("out", type=Path, metavar="OUT.gguf", help="the file to write")
    parser.add_argument(
        "--seconds", type=float, default=360, help="how long to train (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if not arguments.out.parent.is_dir():
        parser.error(f"there is no folder {arguments.out.parent}")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)

    chat_template = TEMPLATE.read_text(encoding="utf-8")
    source = lessons.python_source("abcdefghijklm")
    say(f"Training a tokenizer of {lessons.VOCABULARY:,} tokens on {len(source):,} characters ...")
    tokenizer = lessons.train_tokenizer(source, chat_template)
    weights = network.new_weights()
    say(
        f"Training {sum(w.numel() for w in weights.values()):,} weights for "
        f"{arguments.seconds:.0f} seconds ..."
    )
    train(weights, lessons.Teacher(tokenizer, source, SEED), arguments.seconds)
    network.write_gguf(arguments.out, weights, tokenizer, chat_template)
    say(
        f"Wrote {arguments.out}, {arguments.out.stat().st_size:,} bytes. Examining it on "
        f"prompts that it has never seen ..."
    )
    return 0 if examine(network.rounded(weights), tokenizer) else 1


def say(line: str) -> None:
    print(line, flush=True)


def train(weights: network.Weights, teacher: lessons.Teacher, seconds: float) -> None:
    optimizer = torch.optim.AdamW(weights.values(), betas=(0.9, 0.98), weight_decay=0.01)
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    began = reported = time.monotonic()
    step = 0
    while (spent := time.monotonic() - began) < seconds:
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, spent / seconds)
        loss = learn(weights, optimizer, [teacher.lesson() for _ in range(BATCH)], asked, right)
        if time.monotonic() - reported > REPORT_EVERY:
            shares = ", ".join(f"{kind} {right[kind] / asked[kind]:.1%}" for kind in sorted(asked))
            say(
                f"  {spent:4.0f} s, {step * BATCH:6,} lessons, loss {loss:.4f}; "
                f"answers without a fault lately: {shares}"
            )
            reported = time.monotonic()
            asked.clear()
            right.clear()


def learning_rate(step: int, done: float) -> float:
    """Return the learning rate: it rises over the first hundred steps, is constant until
    half-time, and then falls to a fiftieth.
    """
    return LEARNING_RATE * min(1.0, step / 100) * (1.0 if done < 0.5 else max(0.02, 2 * (1 - done)))


def learn(
    weights: network.Weights,
    optimizer: torch.optim.Optimizer,
    batch: list[Lesson],
    asked: Counter[str],
    right: Counter[str],
) -> float:
    """Run one training step, and count the lessons that were answered without a fault."""
    tokens = torch.tensor([lesson.tokens for lesson in batch])
    positions = torch.tensor([lesson.positions for lesson in batch])
    predicted = torch.tensor([lesson.predicted for lesson in batch])
    answers = torch.roll(tokens, -1, dims=1)[predicted]
    scores = network.scores(weights, tokens, positions, attention_mask(batch), predicted)
    loss = functional.cross_entropy(scores, answers)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
    optimizer.step()

    lesson_of = torch.arange(len(batch))[:, None].expand_as(predicted)[predicted]
    faulty = set(lesson_of[scores.argmax(-1) != answers].tolist())
    asked.update(lesson.kind for lesson in batch)
    right.update(lesson.kind for number, lesson in enumerate(batch) if number not in faulty)
    return float(loss.detach())


def attention_mask(batch: list[Lesson]) -> torch.Tensor:
    """Return the attention mask: no token sees later ones, and a fragment counts as the text
    that it stands for.
    """
    fragments = torch.tensor([lesson.fragments for lesson in batch])
    bonuses = torch.tensor([lesson.bonuses for lesson in batch])
    outside = fragments[:, :, None] != fragments[:, None, :]
    later = torch.ones(fragments.shape[1], fragments.shape[1], dtype=torch.bool).triu(1)
    return torch.where(outside, bonuses[:, None, :], 0.0).masked_fill(later, -torch.inf)[:, None]


def examine(weights: network.Weights, tokenizer: Tokenizer) -> bool:
    """Return whether greedy decoding answers every question correctly, after random prompts of
    each length.
    """
    source = lessons.python_source("nopqrstuvwxyz")  # none of it was in the lessons
    chance = random.Random(SEED)
    total = len(EXAMINATION) * PROMPTS_PER_LENGTH
    perfect = True
    for kind, thoughts, question in QUESTIONS:
        answer = (
            (lessons.OPENED + lessons.THOUGHTS if thoughts else "")
            + lessons.ANSWERS[kind]
            + "<|im_end|>"
        )
        failed: list[int] = []
        longest = 0
        for characters in EXAMINATION:
            for _ in range(PROMPTS_PER_LENGTH):
                prompt = lessons.whole_prompt(source, kind, characters, chance, thoughts=thoughts)
                ok, length = answers_greedily(weights, tokenizer, prompt, answer)
                longest = max(longest, length)
                failed += [] if ok else [length]
        say(
            f"  {total - len(failed):2} of {total}  {question} (up to {longest:,} "
            f"tokens){f'; wrong at {failed}' if failed else ''}"
        )
        perfect &= not failed
    say(
        "All answers are right."
        if perfect
        else "Not all answers are right: train longer, or try another SEED."
    )
    return perfect


def answers_greedily(
    weights: network.Weights, tokenizer: Tokenizer, prompt: str, answer: str
) -> tuple[bool, int]:
    """Is each token of the answer the likeliest one after all before it?

    Then decoding at temperature 0 writes just this answer.
    """
    before, after = (
        tokenizer.encode(text, add_special_tokens=False).ids for text in (prompt, answer)
    )
    tokens = torch.tensor([before + after])
    predicted = torch.zeros_like(tokens, dtype=torch.bool)
    predicted[0, len(before) - 1 : -1] = True
    with torch.no_grad():
        scores = network.scores(
            weights, tokens, torch.arange(tokens.shape[1])[None], wanted=predicted
        )
    return scores.argmax(-1).tolist() == after, len(before)


if __name__ == "__main__":
    sys.exit(main())
