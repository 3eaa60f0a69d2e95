"""Provider of a remote server whose log is readable, as for a managed process."""

from dataclasses import dataclass, field

from proxy.backends.address import BackendAddress
from proxy.backends.provider import FixedProvider
from proxy.llama_server.process.logs import ProcessLog

BLOCK = [
    "0.00.051.085 W common_chat_peg_parse: unparsed peg-native output: I look. ",
    "",
    "<tool_call>  ",
    "x",
    "</tool_call>",
    "",
]
"""Log lines that llama-server writes when its parser fails."""
ANSWER = "I look. \n\n<tool_call>  \nx\n</tool_call>\n"
AFTER = (
    "0.00.051.112 I slot      release: id  2 | task 2 | stop processing: n_tokens = 158, "
    "truncated = 0"
)


def block(answer: str) -> list[str]:
    """Return the log lines of llama-server's parser failure on `answer`, as in BLOCK."""
    first, *rest = answer.split("\n")
    return [
        f"0.00.051.085 W common_chat_peg_parse: unparsed peg-native output: {first}",
        *rest,
        AFTER,
    ]


@dataclass(frozen=True)
class Logged(FixedProvider):
    lines: ProcessLog = field(default_factory=lambda: ProcessLog(lambda _: None))

    def log(self) -> ProcessLog:
        return self.lines

    def write(self, *lines: str) -> None:
        for line in lines:
            self.lines.add(line)


def logged(*lines: str) -> Logged:
    place = Logged(BackendAddress("http://127.0.0.1:1/v1"))
    place.write("loading", *lines)
    return place
