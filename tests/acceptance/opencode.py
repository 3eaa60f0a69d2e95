"""The real OpenCode, unchanged and offline, in front of the real llama.cpp server: the tools really
run, the turns really end.

`make test-opencode`. OpenCode exits with 0 also when nothing ran, so what counts is the file, the
requests and its own record.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests import jsonc
from tests.acceptance import client, fakes, installation
from tests.acceptance.recorder import Exchange, recording
from tests.acceptance.roads import Road, plain_road, proxy, scripted_road

COMMAND = "echo hi | tee -a {file}"
CALL = (
    f"<tool_call>\n<function=bash>\n<parameter=command>\n{COMMAND}\n</parameter>\n</function>\n"
    f"</tool_call>"
)
THOUGHTS = "The user wants a file. I append a line to it."
ASKED = "I'll write it."
DONE = "The command has finished."
TITLE = "Hello, a title."

LEAKED = f"{ASKED}\n\n{CALL.format(file='leaked.txt')}"
AFTER_THOUGHTS = f"<think>\n{THOUGHTS}\n</think>\n\n{ASKED}\n\n{CALL.format(file='thinking.txt')}"
IN_THOUGHTS = f"<think>\n{THOUGHTS}\n\n{CALL.format(file='hidden.txt')}\n</think>"


def grammar(*calls: str) -> str:
    """One text for each kind of turn.

    The model takes the one that begins as it would have begun itself:
    `I` when the user asks, `<think>` when the user's text ends in ` /think`, `T` after a tool's
    result, `H` where no tools are offered."""
    return "root ::= " + " | ".join(json.dumps(text) for text in (*calls, DONE, TITLE))


@dataclass(frozen=True)
class Scenario:
    provider: str
    file: str
    question: str
    thoughts: str
    prose: str


SCENARIOS = [
    Scenario("written", "leaked.txt", "Write the file.", thoughts="", prose=ASKED),
    Scenario("written", "thinking.txt", "Write the file. /think", thoughts=THOUGHTS, prose=ASKED),
    Scenario("hidden", "hidden.txt", "Write the file. /think", thoughts=THOUGHTS, prose=""),
]


@pytest.fixture(scope="module")
def program() -> Path:
    return installation.opencode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("opencode")


@pytest.fixture(scope="module")
def project(folder: Path) -> Path:
    made = folder / "project"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def roads(folder: Path) -> Iterator[dict[str, Road]]:
    with (
        scripted_road("written", folder / "written", grammar(LEAKED, AFTER_THOUGHTS)) as written,
        scripted_road("hidden", folder / "hidden", grammar(IN_THOUGHTS)) as hidden,
    ):
        yield {"written": written, "hidden": hidden}


@pytest.fixture(scope="module")
def talk(
    program: Path, folder: Path, project: Path, roads: dict[str, Road]
) -> Iterator[client.Conversations]:
    home = folder / "home"
    home.mkdir()
    settings = client.configuration(
        {name: road.base_url for name, road in roads.items()}, default="written"
    )
    with client.conversations(program, home, project, settings) as talk:
        yield talk


@contextlib.contextmanager
def explained(*witnesses: client.Turn | Road) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note("\n".join(witness.evidence() for witness in witnesses))
        raise


def test_opencode_run_over_the_completion_endpoint(
    program: Path, folder: Path, tmp_path: Path
) -> None:
    """As a user begins: nothing configured on our side; on the other the opencode.json that
    `serve` prints, pasted.
    """
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    home.mkdir()
    (project / "marker-of-this-folder.txt").touch()
    with plain_road(folder / "plain") as road:
        (project / "opencode.json").write_text(road.snippet(), encoding="utf-8")
        with explained(road):
            first = client.run(program, home, project, "Which files are here?")
        check_listing(first, road, road.front.chats(first.session))
        with explained(road):
            second = client.run(program, home, project, "--session", first.session, "And now?")
        assert second.session == first.session
        check_listing(second, road, road.front.chats(first.session)[2:])
        assert len(road.front.exchanges) == 5, (
            f"two for each turn, and a title for the session\n{road.evidence()}"
        )


def check_listing(turn: client.Turn, road: Road, chats: list[Exchange]) -> None:
    with explained(turn, road):
        assert turn.ran() == [("bash", "completed", "ls -la")]
        assert "marker-of-this-folder.txt" in turn.tools[0]["state"]["output"]
        assert turn.text() == (
            "I'll take a look at the files first.\n\n"
            "The command has finished. Here is my final answer: all done."
        )
        check_requests(chats, result="marker-of-this-folder.txt")
        assert {exchange.status for exchange in road.front.exchanges} == {200}


@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda scenario: scenario.file.removesuffix(".txt")
)
def test_what_the_model_wrote_as_text_runs(
    scenario: Scenario, talk: client.Conversations, project: Path, roads: dict[str, Road]
) -> None:
    """Two turns in one session. The command appends, so the file tells how often it ran."""
    road = roads[scenario.provider]
    session = talk.open(scenario.file)
    for lines in (1, 2):
        before = len(road.chats_behind())
        with explained(road):
            turn = talk.turn(session, scenario.provider, scenario.question)
        with explained(turn, road):
            assert turn.ran() == [("bash", "completed", COMMAND.format(file=scenario.file))]
            assert (project / scenario.file).read_text(encoding="utf-8") == "hi\n" * lines
            assert turn.tools[0]["state"]["output"].strip() == "hi"
            assert turn.text("reasoning").strip() == scenario.thoughts
            assert turn.text().split("\n\n") == [text for text in (scenario.prose, DONE) if text]
            check_requests(road.front.chats(session)[2 * lines - 2 :], result="hi")
            check_history(road.chats_behind()[before:], lines)


def check_requests(chats: list[Exchange], result: str) -> None:
    """One turn: the question, the call; its result, the answer. Nothing is asked a third time."""
    assert len(chats) == 2, f"{len(chats)} requests for one turn with one call"
    question, followup = chats
    assert question.messages[-1]["role"] == "user"
    assert followup.messages[-1]["role"] == "tool"
    assert result in followup.messages[-1]["content"]
    for chat, reason in ((question, "tool_calls"), (followup, "stop")):
        finishes = [
            choice["finish_reason"]
            for chunk in chat.chunks
            for choice in chunk["choices"]
            if choice["finish_reason"]
        ]
        assert finishes == [reason]
        assert chat.events[-1] == "[DONE]"


def check_history(chats: list[Exchange], calls: int) -> None:
    """What reached llama.cpp: each request of the turn once, the calls as calls with their
    results, and no tags among them.
    """
    assert [chat.messages[-1]["role"] for chat in chats] == ["user", "tool"]
    said = [
        message
        for message in chats[-1].messages
        if message["role"] == "assistant" and message.get("tool_calls")
    ]
    results = [message for message in chats[-1].messages if message["role"] == "tool"]
    assert [message["tool_calls"][0]["id"] for message in said] == [
        message["tool_call_id"] for message in results
    ]
    assert [message["content"].strip() for message in results] == ["hi"] * calls
    assert "<tool_call>" not in json.dumps(chats[-1].messages[1:])


def test_one_configuration_for_every_backend(program: Path, tmp_path: Path) -> None:
    """zen today, Ollama tomorrow, our own child the day after: one address, one model name, even
    one conversation.
    """
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    settings = {"BACKEND_KIND": "zen", "BACKEND_API_KEY": "zen-key", "BACKEND_MODEL": "glm-5.2"}
    with (
        fakes.serving(fakes.Zen) as zen_port,
        fakes.serving(fakes.Ollama) as ollama_port,
        recording("zen", zen_port) as zen,
        recording("ollama", ollama_port) as ollama,
        proxy("before zen", tmp_path / "zen", BACKEND_URL=zen.url, **settings) as (
            before_zen,
            zen_front,
        ),
        proxy("before ollama", tmp_path / "ollama", BACKEND_URL=ollama.url) as (
            before_ollama,
            ollama_front,
        ),
        plain_road(tmp_path / "child") as child,
        recording("whatever stands there", zen_front.target_port) as front,
        client.conversations(
            program,
            home,
            project,
            client.configuration({"bridge": f"{front.url}/v1"}, default="bridge"),
        ) as talk,
    ):
        session = talk.open("switched")
        for name, target, witness in (
            ("zen", zen_front, Road(before_zen, front, zen)),
            ("ollama", ollama_front, Road(before_ollama, front, ollama)),
        ):
            front.target_port = target.target_port
            turn = talk.turn(session, "bridge", "Write the line.")
            with explained(turn, witness):
                assert turn.ran() == [("bash", "completed", fakes.COMMAND.format(name=name))]
                assert turn.text("reasoning") == fakes.THOUGHTS
                assert turn.text() == fakes.DONE
        assert (project / "switched.txt").read_text(encoding="utf-8") == "zen\nollama\n"
        with explained(Road(before_zen, front, zen), Road(before_ollama, front, ollama)):
            assert {chat.headers["x-opencode-session"] for chat in zen.chats()} == {session}
            said = [
                message for message in ollama.chats()[-1].messages if message["role"] == "assistant"
            ]
            assert [message.get("reasoning") for message in said if message.get("tool_calls")] == [
                fakes.THOUGHTS,
                fakes.THOUGHTS,
            ]
            assert not any("reasoning_content" in message for message in said)
        front.target_port = child.front.target_port
        turn = talk.turn(session, "bridge", "Which files are here?")
        with explained(turn, child):
            assert turn.ran() == [("bash", "completed", "ls -la")]
            assert "switched.txt" in turn.tools[0]["state"]["output"]
            check_requests(front.chats(session)[4:], result="switched.txt")


@pytest.mark.parametrize("context", [16_384, 32_768])
def test_a_long_conversation_uses_the_whole_context_and_is_not_shortened_in_a_circle(
    context: int, program: Path, tmp_path: Path
) -> None:
    """As a user has it: the opencode.json that `serve` prints, and one task of many steps."""

    class Backend(fakes.Counting):
        asked: ClassVar = []
        refused: ClassVar = []
        steps = 0

    Backend.context, Backend.steps = context, context // 1_200
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    with (
        fakes.serving(Backend) as port,
        proxy("counting", tmp_path / "proxy", BACKEND_URL=f"http://127.0.0.1:{port}") as (
            program_,
            front,
        ),
    ):
        road = Road(program_, front)
        (project / "opencode.json").write_text(road.snippet(), encoding="utf-8")
        limit = jsonc.parsed(road.snippet())["provider"]["llama-bridge"]["models"]["counting"][
            "limit"
        ]
        with explained(road):
            turn = client.run(program, home, project, "List the files, page by page.", seconds=240)
    assert limit["context"] == context
    assert len(turn.ran()) == Backend.steps
    assert Backend.refused == []
    usable, step = context - limit["output"], 1_600
    rounds = rounds_of(Backend.asked)
    print(f"context {context}, usable {usable}: {rounds}")
    assert len(rounds) >= 3, "the conversation was never too long"
    for sizes in rounds[:-1]:
        assert max(sizes) > usable - step, (
            f"it was shortened although the context holds {usable}: {sizes}"
        )
    for sizes in rounds[1:-1]:
        assert len(sizes) >= 3, f"it was shortened again and again: {rounds}"


def rounds_of(asked: list[fakes.Asked]) -> list[list[int]]:
    """The sizes of the requests of a conversation, apart where it was shortened.

    Titles and summaries have no tools.
    """
    rounds: list[list[int]] = [[]]
    for one in asked:
        if one.has_tools and rounds[-1] and one.tokens < rounds[-1][-1]:
            rounds.append([])
        if one.has_tools:
            rounds[-1].append(one.tokens)
    return rounds
