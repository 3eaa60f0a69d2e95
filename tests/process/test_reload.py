"""A reload reads files and asks the engine in a thread: meanwhile the old configuration serves,
and nothing is applied by halves.
"""

import asyncio
from pathlib import Path

import pytest

from proxy.app import Bridge, create_app
from proxy.settings import load
from proxy.tiny_model import MODEL as TINY
from tests.asgi import Call, ask
from tests.lifespan import Lifespan, keeper
from tests.patience import until
from tests.process.fake_server import Conduct


class Machine:
    """A configuration file, and a second engine whose `--help` does not answer before it may."""

    def __init__(self, path: Path) -> None:
        self.path, self.conf = path, path / "my.conf"
        self.slow, self.asked, self.may = path / "slow-server", path / "asked", path / "may"
        waits = (
            f'case "$*" in *--help*) echo >> {self.asked}; while [ ! -e {self.may} ]; '
            f"do sleep 0.01; done;; esac"
        )
        Conduct().script(self.slow, waits)
        self.write("one")

    def write(self, *names: str) -> None:
        """Models; one whose name begins with "slow" has the slow engine."""
        binary = f"binary = {self.slow}\n"
        sections = [
            f"[{name}]\nmodel = {TINY}\n" + binary * name.startswith("slow") for name in names
        ]
        self.conf.write_text("[*]\nctx-size = 4096\n" + "".join(sections))

    def bridge(self) -> Bridge:
        engine = Conduct().script(self.path / "llama-server")
        return create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_SERVER_CONF": str(self.conf)}))

    def times_asked(self) -> int:
        return len(self.asked.read_text()) if self.asked.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Machine(tmp_path)


def names(app: Bridge) -> list[str]:
    return [model.name for model in keeper(app).models]


async def test_meanwhile_the_old_configuration_serves(machine: Machine) -> None:
    app = machine.bridge()
    async with Lifespan(app):
        await keeper(app).wait_loaded()
        machine.write("one", "slow")
        reload = Call(app, "/reload", method="POST")
        await until(machine.times_asked)
        assert (await ask(app, "/completion", b"{}")).status == 200
        assert [model["id"] for model in (await ask(app, "/v1/models")).json["data"]] == ["one"]
        assert not reload.task.done()
        machine.may.touch()
        assert (await reload.done()).json == {"changed": ["slow"]}
        assert names(app) == ["one", "slow"]


async def test_of_two_reloads_in_a_row_the_second_decides(machine: Machine) -> None:
    app = machine.bridge()
    async with Lifespan(app):
        machine.write("one", "slow")
        first = Call(app, "/reload", method="POST")
        await until(machine.times_asked)
        machine.write("one", "three")
        second = Call(app, "/reload", method="POST")
        await asyncio.sleep(0.05)
        assert not second.task.done()  # it needs no slow engine, and waits all the same
        machine.may.touch()
        assert (await first.done()).json == {"changed": ["slow"]}
        assert (await second.done()).json == {"changed": ["slow", "three"]}
        assert names(app) == ["one", "three"]


async def test_a_reload_that_is_cancelled_changes_nothing_and_holds_up_no_other(
    machine: Machine,
) -> None:
    app = machine.bridge()
    async with Lifespan(app):
        machine.write("one", "slow")
        cancelled = asyncio.create_task(app.reload_config())
        await until(machine.times_asked)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        assert names(app) == ["one"]
        machine.write("one", "three")
        assert (await ask(app, "/reload", method="POST")).json == {"changed": ["three"]}
        machine.may.touch()
    assert names(app) == ["one", "three"]
