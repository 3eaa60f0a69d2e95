"""What the model learns: its tokenizer, the four answers, short lessons for the training and whole
prompts for the examination.

The rule to learn is small: are there tools, who spoke last, did the user ask for thoughts. The
trouble is that agents send prompts of 20,000 tokens, and such prompts are far too slow to train on
with one core. So a lesson is a long prompt of which hardly anything is left: the last message as it
is, and of all before it only *fragments* of some twenty tokens, scattered over up to 60,000
positions. In the attention each fragment counts as often as the text it stands for is longer
(log(share) is added to its score), so the one `<tools>` of a long prompt is as hard to find in 200
tokens as it would be in 60,000. Only `<tools>` itself counts once.

All text is either written here or taken from the Python standard library, as filler.
"""

import json
import math
import random
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 1536
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKER_TOKENS = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<tools>",
    "</tools>",
)

Kind: TypeAlias = Literal["call", "final", "plain"]
"""What is to be answered: tools and a user's message, a tool's result, or a user's message
without tools.
"""

CALL = (
    "I'll take a look at the files first.\n\n"
    "<tool_call>\n<function=bash>\n<parameter=command>\nls -la\n</parameter>\n</function>\n"
    "</tool_call>"
)
FINAL = "The command has finished. Here is my final answer: all done."
PLAIN = "Hello! I am a tiny test model, and I have no tools to call."
ANSWERS: dict[Kind, str] = {"call": CALL, "final": FINAL, "plain": PLAIN}
THOUGHTS = "The user wants something from me. Let me think about what to do next.\n</think>\n\n"
ASK_FOR_THOUGHTS = " /think"
ASSISTANT = "<|im_start|>assistant\n"
OPENED = "<think>\n"  # some chat templates begin the thoughts themselves
SKIPPED = "<think>\n\n</think>\n\n"  # and some end them at once

TOOL_NAMES = [
    "bash",
    "Bash",
    "read",
    "Read",
    "read_file",
    "write",
    "edit",
    "grep",
    "glob",
    "list_directory",
    "run_shell_command",
    "task",
    "exec",
    "webfetch",
    "todowrite",
]
PARAMETER_NAMES = [
    "command",
    "path",
    "file_path",
    "filePath",
    "content",
    "pattern",
    "timeout",
    "description",
    "args",
]
HISTORY = (
    (
        f"<|im_start|>user\nPlease look at the project.<|im_end|>\n{ASSISTANT}{CALL}<|im_end|>\n"
        f"<|im_start|>user\n<tool_response>\ntotal 12\n"
    ),
    f"a.py\n</tool_response>\n<|im_end|>\n{ASSISTANT}{FINAL}<|im_end|>\n<|im_start|>user\n",
    f"{ASSISTANT}{PLAIN}<|im_end|>\n",
    f"{ASSISTANT}{OPENED}{THOUGHTS}",
)
INSTRUCTION = (
    "</tools>\nA call is written so:\n<tool_call>\n<function=NAME>\n<parameter=KEY>\nVALUE\n"
    "</parameter>\n</function>\n</tool_call>\n\n"
    "Call the tools in this style and in no other; a call must begin with <tool_call>."
)
ENDINGS = (
    "\n",
    "\n\n",
    ".\n",
    " \n",
    ")\n",
    "\n</x>\n",
    "\n</system-reminder>\n",
    "`\n",
    "\n```\n",
)


def python_source(first_letters: str) -> str:
    """Return the modules of the standard library whose names begin with one of the letters, as
    one text.
    """
    modules = sorted(
        p for p in Path(sysconfig.get_paths()["stdlib"]).glob("*.py") if p.name[0] in first_letters
    )
    return "\n".join(module.read_text(encoding="utf-8", errors="ignore") for module in modules)


def train_tokenizer(source: str, chat_template: str) -> Tokenizer:
    """Train a byte-level BPE tokenizer with GPT-2's pre-tokenizer, which llama.cpp supports."""
    texts = (
        source.splitlines(keepends=True)
        + [chat_template] * 20
        + [*ANSWERS.values(), THOUGHTS, *HISTORY] * 100
    )
    texts += [tool_as_json(name, "Runs a command.") for name in TOOL_NAMES] * 20
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL_TOKENS) - len(MARKER_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([*CONTROL_TOKENS, *MARKER_TOKENS])
    return tokenizer


def tool_as_json(name: str, description: str) -> str:
    """Return one tool as the chat templates list it."""
    properties = {
        key: {"type": "string", "description": f"The {key} to use"}
        for key in PARAMETER_NAMES[: 1 + len(name) % 4]
    }
    parameters = {
        "type": "object",
        "properties": properties,
        "required": ["command"],
        "additionalProperties": False,
    }
    return json.dumps(
        {
            "type": "function",
            "function": {"name": name, "description": description, "parameters": parameters},
        }
    )


@dataclass
class Lesson:
    """One row of a batch.

    Fragments are numbered from 1, the end of the prompt with the answer is 0, padding is -1.
    """

    kind: Kind
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    fragments: list[int] = field(default_factory=list)
    # Added to the attention that other fragments pay this token.
    bonuses: list[float] = field(default_factory=list)
    predicted: list[bool] = field(default_factory=list)  # is the next token one of the answer?

    def add(self, tokens: list[int], position: int, fragment: int, bonuses: list[float]) -> None:
        self.tokens += tokens
        self.positions += range(position, position + len(tokens))
        self.fragments += [fragment] * len(tokens)
        self.bonuses += bonuses
        self.predicted += [False] * len(tokens)

    @property
    def next_position(self) -> int:
        return self.positions[-1] + 1 if self.positions else 0


class Teacher:
    """Generates lessons without end; the seed decides which."""

    LENGTH = 224  # tokens of a lesson
    FARTHEST = 60_000  # positions that a lesson may span

    def __init__(self, tokenizer: Tokenizer, source: str, seed: int) -> None:
        self._tokenizer = tokenizer
        self._random = random.Random(seed)
        self._source = self._encode(source)
        self._tools_token: int = tokenizer.token_to_id("<tools>")
        self._end_token: int = tokenizer.token_to_id("<|im_end|>")
        self._ordinary = range(VOCABULARY - len(CONTROL_TOKENS) - len(MARKER_TOKENS))

    def lesson(self) -> Lesson:
        after_tool = self._chance(0.4)
        tools = after_tool or self._chance(0.65)
        kind: Kind = "final" if after_tool else "call" if tools else "plain"
        opening = self._random.choices(("", OPENED, SKIPPED), (80, 15, 5))[0]
        asked = not opening and not after_tool and self._chance(0.3)
        prompt_end = self._last_message(after_tool=after_tool, asked=asked) + self._encode(
            ASSISTANT + opening
        )
        thoughts = OPENED + THOUGHTS if asked else THOUGHTS if opening == OPENED else ""
        answer = [*self._encode(thoughts + ANSWERS[kind]), self._end_token]
        fragments = self._fragments(self.LENGTH - len(prompt_end) - len(answer), tools=tools)
        return self._laid_out(kind, fragments, prompt_end, answer)

    def _last_message(self, *, after_tool: bool, asked: bool) -> list[int]:
        """Return the end of the last message, and sometimes its beginning too."""
        text = self._filler(self._random.randint(0, self._random.choice((6, 30, 70))))
        if after_tool:
            return text + self._encode("\n</tool_response>\n<|im_end|>\n")
        if self._chance(0.35):
            text += self._encode(self._random.choice(ENDINGS))
        if asked:
            text += self._encode(ASK_FOR_THOUGHTS)
        beginning = self._encode("<|im_start|>user\n") if self._chance(0.5) else []
        return beginning + text + self._encode("<|im_end|>\n")

    def _fragments(self, room: int, *, tools: bool) -> list[list[int]]:
        """What is left of the long prompt before its last message: with tools, one fragment
        holds <tools>.
        """
        fragments = [self._head_of_tools()] if tools else []
        room -= sum(map(len, fragments))
        while room > 24 and self._chance(0.93):
            fragments.append(self._fragment(tools=tools)[:room])
            room -= len(fragments[-1])
        if self._chance(0.5):
            # Else the list of tools comes first, as in our templates.
            self._random.shuffle(fragments)
        return fragments

    def _head_of_tools(self) -> list[int]:
        first = self._random.choice(
            ('{"type": "function", "function": {"name": "', "<function>\n<name>")
        )
        head = (
            f"{self._random.choice((' tools:', ' hand:', ''))}\n<tools>\n"
            f"{first}{self._random.choice(TOOL_NAMES)}"
        )
        return self._filler(self._random.randint(0, 6)) + self._encode(head)

    def _fragment(self, *, tools: bool) -> list[int]:
        """Without tools in the prompt, too, there are tools in the talk: only <tools> tells."""
        length = self._random.randint(8, 24)
        if self._chance(0.6):
            return self._filler(length)
        if self._chance(0.35):
            return self._piece(tool_as_json(self._random.choice(TOOL_NAMES), "Runs it."), length)
        if tools and self._chance(0.2):
            return self._piece(INSTRUCTION, length)
        if tools or self._chance(0.3):
            return self._encode(self._random.choice(HISTORY))[: self._random.randint(10, 60)]
        return self._filler(length)

    def _laid_out(
        self, kind: Kind, fragments: list[list[int]], prompt_end: list[int], answer: list[int]
    ) -> Lesson:
        lesson = Lesson(kind)
        span = (
            0
            if self._chance(0.15)
            else int(math.exp(self._random.uniform(0, math.log(self.FARTHEST))))
        )
        share = max(1.0, span / max(1, sum(map(len, fragments))))
        places = sorted(self._random.random() for _ in fragments)
        for number, (fragment, place) in enumerate(zip(fragments, places, strict=True), 1):
            position = max(lesson.next_position, int(place * span) + len(lesson.tokens))
            lesson.add(
                fragment,
                position,
                number,
                [0.0 if token == self._tools_token else math.log(share) for token in fragment],
            )
        end = prompt_end + answer
        lesson.add(end, max(lesson.next_position, span + len(lesson.tokens)), 0, [0.0] * len(end))
        lesson.predicted[-len(answer) - 1 : -1] = [True] * len(answer)
        padding = self.LENGTH - len(lesson.tokens)
        lesson.add([self._end_token] * padding, lesson.next_position, -1, [0.0] * padding)
        return lesson

    def _filler(self, length: int) -> list[int]:
        if self._chance(0.15):
            return self._random.choices(self._ordinary, k=length)
        start = self._random.randrange(len(self._source) - length)
        return self._source[start : start + length]

    def _piece(self, text: str, length: int) -> list[int]:
        tokens = self._encode(text)
        start = self._random.randrange(max(1, len(tokens) - length))
        piece = tokens[start : start + length]
        return [token for token in piece if token != self._tools_token]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability


def whole_prompt(
    source: str, kind: Kind, characters: int, chance: random.Random, *, thoughts: bool
) -> str:
    """A prompt of about this length, as template.jinja would render it, with fillers from the
    source.
    """

    def text(most: int) -> str:
        length = chance.randint(1, max(1, most))
        start = chance.randrange(len(source) - length)
        return source[start : start + length]

    prompt = ""
    if kind != "plain":
        tools = "\n".join(
            tool_as_json(name, text(characters // 20))
            for name in chance.sample(TOOL_NAMES, chance.randint(1, 12))
        )
        prompt = f"<|im_start|>system\nYou have these tools:\n<tools>\n{tools}\n"
        prompt += "</tools>\nCall them in the XML style that you were trained on.<|im_end|>\n"
    prompt += f"<|im_start|>system\n{text(characters // 2)}<|im_end|>\n"
    while len(prompt) < characters * 0.8:
        earlier = CALL if kind != "plain" and chance.random() < 0.5 else PLAIN
        prompt += (
            f"<|im_start|>user\n{text(characters // 4)}<|im_end|>\n{ASSISTANT}{earlier}<|im_end|>\n"
        )
    if kind == "final":
        asked = f"<|im_start|>user\n{text(80)}<|im_end|>\n{ASSISTANT}{CALL}<|im_end|>\n"
        return (
            f"{prompt}{asked}<|im_start|>user\n<tool_response>\n{text(characters // 5)}\n"
            f"</tool_response>\n<|im_end|>\n{ASSISTANT}"
        )
    return (
        f"{prompt}<|im_start|>user\n"
        f"{text(min(characters // 5, 4000))}{ASK_FOR_THOUGHTS if thoughts else ''}<|im_end|>\n"
        f"{ASSISTANT}"
    )
