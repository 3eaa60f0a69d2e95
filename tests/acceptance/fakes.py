"""zen and Ollama, as far as one conversation with a tool needs them: they take what the real ones
take and answer as those do.

A user's message gets a call, a tool's result gets a last word, and where no tools are offered a
title is wanted.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

COMMAND = "echo {name} | tee -a switched.txt"
THOUGHTS = "The user wants a line in the file. 🙂"
DONE = "The command has finished."
TITLE = "A title."
Chunk = dict[str, Any]


class Fake(BaseHTTPRequestHandler):
    name: ClassVar[str]
    pages: ClassVar[dict[str, str]]
    head: ClassVar[Chunk]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        self.say(
            404 if page is None else 200,
            "application/json",
            (page or "404 page not found").encode(),
        )

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if (refusal := self.refusal(asked)) is not None:
            self.say(*refusal)
            return
        lines = [
            event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
            for event in self.answer(asked)
        ]
        self.say(200, "text/event-stream", "".join(f"data: {line}\n\n" for line in lines).encode())

    def answer(self, asked: Chunk) -> list[Chunk | str]:
        if not asked.get("tools"):
            return [*self.text(TITLE), *self.end("stop")]
        if asked["messages"][-1]["role"] == "tool":
            return [*self.text(DONE), *self.end("stop")]
        return [*self.call(COMMAND.format(name=self.name)), *self.end("tool_calls")]

    def refusal(self, _asked: Chunk) -> tuple[int, str, bytes] | None:
        return None

    def chunk(self, delta: Chunk, finish: str | None = None) -> Chunk:
        return self.head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def text(self, text: str) -> list[Chunk]:
        return [
            self.chunk({"role": "assistant", "content": piece}) for piece in (text[:4], text[4:])
        ]

    def call(self, command: str) -> list[Chunk]:
        raise NotImplementedError

    def end(self, finish: str) -> list[Chunk | str]:
        raise NotImplementedError

    def say(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A recorder stands before it."""


class Zen(Fake):
    name = "zen"
    models = ("glm-5.2", "claude-opus-5")
    pages: ClassVar = {
        "/v1/models": json.dumps(
            {"object": "list", "data": [{"id": id, "owned_by": "opencode"} for id in models]}
        )
    }
    head: ClassVar = {
        "id": "chatcmpl-7f3",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "glm-5.2",
    }

    def refusal(self, asked: Chunk) -> tuple[int, str, bytes] | None:
        type, message = None, ""
        if "x-opencode-session" not in self.headers:
            type, message = (
                "MissingSessionID",
                "Request is missing x-opencode-session and cannot be routed efficiently.",
            )
        if self.headers["authorization"] != "Bearer zen-key":
            type, message = "AuthError", "Invalid API key."
        if asked["model"] != "glm-5.2":
            type, message = "ModelError", f"Model {asked['model']} not supported"
        return (
            None
            if type is None
            else (
                400,
                "text/plain",
                json.dumps({"type": "error", "error": {"type": type, "message": message}}).encode(),
            )
        )

    def call(self, command: str) -> list[Chunk]:
        arguments = json.dumps({"command": command})
        begin = {
            "index": 0,
            "id": "call_zen",
            "type": "function",
            "function": {"name": "bash", "arguments": ""},
        }
        pieces = [
            {"index": 0, "function": {"arguments": piece}}
            for piece in (arguments[:9], arguments[9:])
        ]
        thoughts = [
            self.chunk({"reasoning_content": THOUGHTS[:5]}),
            self.chunk({"reasoning_content": THOUGHTS[5:]}),
        ]
        return [*thoughts, *(self.chunk({"tool_calls": [piece]}) for piece in (begin, *pieces))]

    def end(self, finish: str) -> list[Chunk | str]:
        usage = {
            "prompt_tokens": 9000,
            "completion_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 8000},
        }
        return [
            self.chunk({}, finish),
            self.head | {"choices": [], "usage": usage},
            "[DONE]",
            {"choices": [], "cost": "0.0001"},
        ]


class Ollama(Fake):
    name = "ollama"
    pages: ClassVar = {
        "/v1/models": '{"object":"list","data":[{"id":"qwen3:8b","object":"model",'
        '"created":1790000000,"owned_by":"library"}]}\n',
        "/": "Ollama is running",
        "/api/version": '{"version":"0.12.1"}',
        "/api/ps": '{"models":[{"name":"qwen3:8b","model":"qwen3:8b","context_length":65536}]}',
    }
    head: ClassVar = {
        "id": "chatcmpl-412",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "qwen3:8b",
    }

    def call(self, command: str) -> list[Chunk]:
        function = {"name": "bash", "arguments": json.dumps({"command": command})}
        call = {"id": "call_a1b2c3d4", "index": 0, "type": "function", "function": function}
        said: list[Chunk] = [{"reasoning": THOUGHTS}, {"tool_calls": [call]}]
        return [self.chunk({"role": "assistant", "content": ""} | delta) for delta in said]

    def end(self, finish: str) -> list[Chunk | str]:
        usage = {"prompt_tokens": 9000, "completion_tokens": 30, "total_tokens": 9030}
        return [
            self.chunk({"role": "assistant", "content": ""}, finish),
            self.head | {"choices": [], "usage": usage},
            "[DONE]",
        ]


@dataclass(frozen=True)
class Asked:
    """A request as far as the length of a conversation goes."""

    tokens: int
    has_tools: bool


class Counting(Fake):
    """Counts tokens (four letters each), refuses what its context does not hold, and calls a
    tool with a long result `steps` times.
    """

    name = "counting"
    context: ClassVar[int]
    steps: ClassVar[int]
    asked: ClassVar[list[Asked]]
    refused: ClassVar[list[int]]
    head: ClassVar = {
        "id": "chatcmpl-9",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "counting",
    }

    def do_GET(self) -> None:
        card = {
            "id": self.name,
            "object": "model",
            "owned_by": "vllm",
            "max_model_len": self.context,
        }
        found = self.path == "/v1/models"
        self.say(
            200 if found else 404,
            "application/json",
            json.dumps({"object": "list", "data": [card] if found else []}).encode(),
        )

    def refusal(self, asked: Chunk) -> tuple[int, str, bytes] | None:
        self.tokens = (
            len(json.dumps([asked["messages"], asked.get("tools")], ensure_ascii=False)) // 4
        )
        if self.tokens < self.context:
            return None
        self.refused.append(self.tokens)
        sentence = (
            f"request ({self.tokens} tokens) exceeds the available context size ({self.context} "
            f"tokens), try increasing it"
        )
        return (
            400,
            "application/json",
            json.dumps({"error": {"message": sentence, "code": 400}}).encode(),
        )

    def answer(self, asked: Chunk) -> list[Chunk | str]:
        has_tools = bool(asked.get("tools"))
        self.asked.append(Asked(self.tokens, has_tools))
        if not has_tools:
            return [*self.text("The files are being listed, page by page."), *self.end("stop")]
        if sum(one.has_tools for one in self.asked) > self.steps:
            return [*self.text(DONE), *self.end("stop")]
        return [*self.call("yes word | head -c 4800"), *self.end("tool_calls")]

    def call(self, command: str) -> list[Chunk]:
        function = {
            "name": "bash",
            "arguments": json.dumps({"command": command, "description": "Writes words"}),
        }
        return [
            self.chunk(
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": f"call_{len(self.asked)}",
                            "type": "function",
                            "function": function,
                        }
                    ]
                }
            )
        ]

    def end(self, finish: str) -> list[Chunk | str]:
        usage = {
            "prompt_tokens": self.tokens,
            "completion_tokens": 30,
            "total_tokens": self.tokens + 30,
        }
        return [self.chunk({}, finish), self.head | {"choices": [], "usage": usage}, "[DONE]"]


@contextlib.contextmanager
def serving(fake: type[Fake]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), fake)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
