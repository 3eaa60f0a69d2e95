"""Which models there are, and how each is launched: from the files and settings that people
have.
"""

from pathlib import Path
from typing import Any

import pytest

from proxy.llama_server.config import model_config as one_model
from proxy.llama_server.config.catalog import Catalog, make_catalog
from proxy.llama_server.config.ini import ConfigurationError, read
from proxy.llama_server.config.model_config import CatalogSettings, free_memory
from tests.llama_server.config.test_gguf import LLAMA, made
from tests.llama_server.config.test_options import HELP, OLD_HELP, program
from tests.process.conftest import TINY


class Home:
    """A folder with a configuration, a llama-server and models."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server: Path | None = None
        made(path / "a.gguf", LLAMA)
        made(path / "b.gguf", LLAMA)

    def make(self, text: str = "", model: str | None = None) -> Catalog:
        conf = self.path / "llama-server.conf"
        conf.write_text(text)
        server = str(self.server) if self.server else None
        return make_catalog(read(conf), CatalogSettings(model, server, TINY, self.dialect))

    @staticmethod
    def dialect(name: str) -> None:
        if name != "hermes":
            raise ValueError(f"unknown dialect {name}")

    def wrong(self, text: str = "", model: str | None = None) -> str:
        with pytest.raises(ConfigurationError) as error:
            self.make(text, model)
        return str(error.value).replace(str(self.path), "")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(one_model, "memory_at_start", lambda: None)
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path)


def only(found: Catalog) -> Any:
    (model,) = found.models
    assert found.default == model.name
    return model


def test_the_default_is_the_tiny_model(home: Home) -> None:
    model = only(home.make())
    assert (model.name, model.launch.model, model.launch.engine, model.context) == (
        "tiny-toolcaller",
        TINY,
        None,
        32768,
    )
    assert (
        " ".join(model.launch.flags)
        == "--ctx-size 32768 --temp 0 --threads 1 --log-verbosity 4 --parallel 2 --kv-unified"
    )


def test_global_options_apply_to_a_named_file(home: Home) -> None:
    model = only(
        home.make(
            "[*]\nn_gpu_layers = 26\nn-ctx = 16384\ntemperature = 0.5\nlog-verbosity = 3\n",
            "a.gguf",
        )
    )
    assert (model.name, model.launch.model, model.context) == ("a", home.path / "a.gguf", 16384)
    assert model.launch.flags == (
        "--gpu-layers",
        "26",
        "--ctx-size",
        "16384",
        "--temp",
        "0.5",
        "--log-verbosity",
        "3",
        "--parallel",
        "2",
        "--kv-unified",
    )


def test_a_model_trained_on_less_gets_less(home: Home) -> None:
    assert "--ctx-size 4096" in " ".join(
        only(home.make("", "~/a*.gguf".replace("~", str(home.path)))).launch.flags
    )


def test_sections(home: Home) -> None:
    text = """
[*]
idle-unload = 10
models-max = 2
side-requests = swap
[main]
model = a.gguf
aliases = big, coder
preload = true
group = pair
dialect = hermes
env = CUDA_VISIBLE_DEVICES=1, X=2
require-gpu = yes
[small]
model = b.gguf
parallel = 2
idle-unload = 0
"""
    found = home.make(text)
    main, small = found.models
    assert (found.default, found.models_max, found.side_requests) == ("main", 2, "swap")
    assert (
        main.name,
        main.aliases,
        main.preload,
        main.idle_unload,
        main.group,
        main.dialect,
        main.require_gpu,
        main.context,
    ) == (
        "main",
        ("big", "coder"),
        True,
        600,
        "pair",
        "hermes",
        True,
        4096,
    )
    assert main.launch.variables == (("CUDA_VISIBLE_DEVICES", "1"), ("X", "2"))
    assert (small.preload, small.idle_unload, small.group, small.aliases, small.context) == (
        False,
        None,
        None,
        (),
        2048,
    )
    assert (main.group_key, small.group_key) == ("group pair", "model small")
    assert home.make(text, "small").default == "small"


def test_a_named_file_beside_sections_is_the_default(home: Home) -> None:
    found = home.make("[main]\nmodel = a.gguf\n", "b.gguf")
    assert [model.name for model in found.models] == [found.default, "main"] == ["b", "main"]


SMALL_BERT = {"general.architecture": "bert", "bert.context_length": 512}
ONE_PIECE = "--batch-size 512 --ubatch-size 512"


@pytest.mark.parametrize(
    ("values", "text", "flags"),
    [
        ({"bert.pooling_type": 2}, "", f"--ctx-size 512 --embeddings {ONE_PIECE}"),
        ({}, "embeddings = true\n", f"--embeddings --ctx-size 512 {ONE_PIECE} --pooling mean"),
        (
            {},
            "embedding = on\npooling = cls\n",
            f"--embeddings --pooling cls --ctx-size 512 {ONE_PIECE}",
        ),
        ({}, "embeddings = false\n", "--no-embeddings --ctx-size 512"),
    ],
)
def test_a_text_to_embed_is_read_in_one_piece(
    home: Home, values: dict[str, Any], text: str, flags: str
) -> None:
    made(home.path / "e.gguf", SMALL_BERT | values)
    found = only(home.make(f"[e]\nmodel = e.gguf\n{text}"))
    assert " ".join(found.launch.flags).removesuffix(" --log-verbosity 4") == flags


def test_what_a_new_configuration_changes(home: Home) -> None:
    before = home.make("[a]\nmodel = a.gguf\n[b]\nmodel = b.gguf\n")
    assert before.changes(home.make("[a]\nmodel = a.gguf\n[b]\nmodel = b.gguf\n")) == []
    text = (
        "[*]\nmodels-max = 2\nside-requests = swap\n[a]\nmodel = a.gguf\naliases = x\n[c]\n"
        "model = b.gguf\n"
    )
    assert before.changes(home.make(text)) == ["a", "b", "c", "models-max", "side-requests"]
    assert before.changes(
        home.make("[a]\nmodel = a.gguf\nidle-unload = 5\n[b]\nmodel = b.gguf\n")
    ) == ["a"]


def test_a_folder(home: Home) -> None:
    made(home.path / "sub/mmproj.gguf", {"general.type": "mmproj"})
    made(home.path / "sub/eyes.gguf", {"general.architecture": "bert", "bert.pooling_type": 1})
    (home.path / "sub/bad.gguf").touch()
    found = home.make("[b]\nmodel = b.gguf\nctx-size = 7\n", ".")
    assert [model.name for model in found.models] == ["a", "eyes", "b"]
    assert f"--mmproj {home.path}/sub/mmproj.gguf --embeddings --batch-size 8192" in " ".join(
        found.models[1].launch.flags
    )
    assert [note.replace(str(home.path), "") for note in found.notes] == [
        "skipped /sub/bad.gguf: the header is incomplete; download the file again"
    ]
    empty = home.path / "empty"
    empty.mkdir()
    assert home.wrong(model="empty") == "LLAMA_MODEL: no complete model in the folder /empty"


def test_what_a_new_binary_gets_by_itself(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.server = program(home.path / "server", HELP, home.path / "asked")
    monkeypatch.setattr(one_model, "memory_at_start", lambda: 8000)
    model = only(home.make("", "a.gguf"))
    assert model.launch.engine == home.server
    assert (
        " ".join(model.launch.flags)
        == "--ctx-size 4096 --log-verbosity 4 --parallel 2 --kv-unified --cache-ram 2000"
    )
    monkeypatch.setattr(one_model, "memory_at_start", lambda: 64000)
    assert "--cache-ram" not in only(home.make("", "a.gguf")).launch.flags
    assert only(home.make("[*]\ncram = 0\nctx-size = 0\n", "a.gguf")).launch.flags[:4] == (
        "--cache-ram",
        "0",
        "--ctx-size",
        "0",
    )


@pytest.mark.parametrize(
    ("said", "context", "shares", "cache"),
    [
        ("", 4096, True, 4096),
        ("ctx-size = 65536", 65536, True, 65536),
        ("ctx-size = 0", None, True, None),  # the model's own
        ("parallel = 4", 1024, False, 4096),
        ("np = 4\nkv-unified = true", 4096, True, 4096),
        ("kv-unified = false", 2048, False, 4096),
        ("parallel = -1", 4096, True, 4096),  # llama-server's own choice: four that share
        ("parallel = 1", 4096, False, 4096),
        ("kv-unified-per-slot = 1500", 1500, True, 3000),
        ("kv-unified-per-slot = 1500\nctx-size = 2048", 1500, True, 2048),
        ("kv-unified-per-slot = 1500\nctx-size = 1024", 1024, True, 1024),
        ("kv-unified-per-slot = 1500\nparallel = 3", 1500, False, 4500),
        ("kv-unified-per-slot = 1500\nparallel = -1", 1500, True, 6000),
    ],
)
def test_the_context_of_one_conversation_and_what_all_share(
    home: Home, said: str, context: int | None, shares: bool, cache: int | None
) -> None:
    """Each row was compared with what the wheel's server writes at its start."""
    model = only(home.make(f"[*]\n{said}\n", "a.gguf"))
    assert (model.context, model.shares_cache, model.cache) == (context, shares, cache)


def test_an_embedding_model_keeps_the_slots_of_its_server(home: Home) -> None:
    assert "--parallel" not in only(home.make("[*]\nembeddings = true\n", "a.gguf")).launch.flags


def test_what_an_old_binary_gets_by_itself(home: Home) -> None:
    home.server = program(
        home.path / "server",
        OLD_HELP + "--jinja    use jinja (default: disabled)\n",
        home.path / "asked",
    )
    assert only(home.make("", "a.gguf")).launch.flags == ("--ctx-size", "4096", "--jinja")


def test_downloads_only_where_they_are_named_so(home: Home) -> None:
    home.server = program(home.path / "server", HELP, home.path / "asked")
    model = only(home.make("", "hf:owner/repo:Q4_K_M"))
    assert (model.name, model.launch.model, model.context) == (
        "owner/repo:Q4_K_M",
        "owner/repo:Q4_K_M",
        32768,
    )
    assert model.launch.command(5)[1:5] == [
        "--hf-repo",
        "owner/repo:Q4_K_M",
        "--alias",
        "owner/repo:Q4_K_M",
    ]
    text = "[owner/repo]\n[x]\nhf-repo = owner/x\n[y]\nmodel = hf:owner/y\n"
    assert [(model.name, model.launch.model) for model in home.make(text).models] == [
        ("owner/repo", "owner/repo"),
        ("x", "owner/x"),
        ("y", "owner/y"),
    ]
    home.server = None
    assert home.wrong(model="hf:o/r") == (
        "hf:o/r: the engine of the xllamacpp wheel cannot download models; "
        "set LLAMA_SERVER to a llama-server, or use a GGUF file"
    )


def test_a_binary_of_its_own(home: Home) -> None:
    program(home.path / "other", HELP, home.path / "asked")
    assert (
        only(
            home.make(f"[a]\nmodel = a.gguf\nbinary = {home.path}/other\nn-cpu-moe = 3\n")
        ).launch.engine
        == home.path / "other"
    )
    assert home.wrong("[a]\nmodel = a.gguf\nbinary = /no/such\n").startswith(
        "/llama-server.conf:3: binary: no such program: /no/such"
    )


@pytest.mark.parametrize(
    ("text", "model", "said"),
    [
        (
            "[*]\nmodel = a.gguf\n",
            None,
            "/llama-server.conf:2: model belongs in the section of one model, not in [*]",
        ),
        (
            "[a]\nctx-size = 1\n",
            None,
            (
                "/llama-server.conf:2: [a] has no model; add `model = /path/to/model.gguf` or "
                "`model = hf:owner/repo:quant`"
            ),
        ),
        ("[a]\n", None, "[a] has no model"),
        (
            "[a]\nmodel = c.gguf\n",
            None,
            "/llama-server.conf:2: no such file: /c.gguf;  contains: a.gguf, b.gguf",
        ),
        ("[a]\nmodel = .\n", None, "is a folder; a section needs one model"),
        (
            "[a]\nmodel = llama-server.conf\n",
            None,
            "/llama-server.conf:2: /llama-server.conf: not a GGUF file",
        ),
        (
            "[a]\nmodel = a.gguf\n[b]\nmodel = b.gguf\naliases = a\n",
            None,
            "duplicate model name a: [a] and [b]",
        ),
        (
            "[*]\nctx-sise = 1\n[a]\nmodel = a.gguf\n[b]\nmodel = b.gguf\n",
            None,
            "/llama-server.conf:2: ctx-sise is not an option",
        ),
        (
            "[*]\nmodels-max = 0\n",
            None,
            "/llama-server.conf:2: models-max must be a number of at least 1, not '0'",
        ),
        (
            "[*]\nside-requests = x\n",
            None,
            "/llama-server.conf:2: side-requests must be `loaded` or `swap`, not 'x'",
        ),
        ("[*]\ndialect = x\n", None, "/llama-server.conf:2: unknown dialect x"),
        (
            "[*]\nidle-unload = soon\n",
            None,
            "/llama-server.conf:2: idle-unload must be a number of at least 0, not 'soon'",
        ),
        (
            "[*]\nenv = A\n",
            None,
            "/llama-server.conf:2: env must be `NAME=value, NAME=value`, not 'A'",
        ),
        ("[*]\nenv = 1=2\n", None, "env must be `NAME=value, NAME=value`, not '1=2'"),
        ("[a]\nmodel = a.gguf\n", "aa", "LLAMA_MODEL: no such file: /aa"),
        ("[main]\nmodel = a.gguf\n", "mian", " (did you mean main?)"),
        ("", "llama-server.conf", "LLAMA_MODEL: /llama-server.conf: the header is incomplete"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(
    home: Home, text: str, model: str | None, said: str
) -> None:
    told = home.wrong(text, model)
    assert said in told
    assert len(told.split("\n")) == 1  # not once for each model


def test_an_absolute_path_with_a_typo_is_refused_and_one_on_a_missing_disk_is_served_when_it_comes(
    home: Home,
) -> None:
    wrong = home.wrong(model=str(home.path / "aa.gguf"))
    assert wrong == "LLAMA_MODEL: no such file: /aa.gguf;  contains: a.gguf, b.gguf"
    later = home.path / "disk" / "c.gguf"
    assert only(home.make(model=str(later))).launch.model == later


def test_a_model_in_several_files_is_named_by_its_first_and_whole(home: Home) -> None:
    for number in (1, 2):
        made(home.path / f"big-0000{number}-of-00002.gguf", LLAMA)
    made(home.path / "half-00001-of-00003.gguf", LLAMA)
    assert only(home.make(model="big-00001-of-00002.gguf")).name == "big"
    assert only(home.make(model="big*")).name == "big"
    assert "big-00002-of-00002.gguf: this is part 2 of 2; use the first part" in home.wrong(
        model="big-00002-of-00002.gguf"
    )
    told = home.wrong("[a]\nmodel = half-00001-of-00003.gguf\n")
    assert told.endswith(
        "2 of its 3 parts are missing: half-00002-of-00003.gguf, half-00003-of-00003.gguf"
    )


def test_all_mistakes_are_reported_together(home: Home) -> None:
    told = home.wrong("[*]\nmodel = a.gguf\nmlok = true\nctx-size = -5\n", None)
    assert "2: model belongs in" in told
    assert "3: mlok is not an option" in told
    assert "4: ctx-size must be a whole number, not '-5'" in told
    assert len(told.split("\n")) == 3


def test_a_model_may_repeat_its_own_name(home: Home) -> None:
    (model,) = home.make("[a]\nmodel = a.gguf\naliases = a, b, b\n").models
    assert model.name == "a"


def test_a_projector_is_no_model(home: Home) -> None:
    made(home.path / "p.gguf", {"general.type": "mmproj"})
    assert "is an image projector, not a model" in home.wrong(model="p.gguf")


def test_free_memory_as_the_system_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "meminfo"
    monkeypatch.setattr(one_model, "MEMORY", memory)
    assert one_model.memory_at_start() is one_model.memory_at_start()
    assert free_memory() is None
    for text, found in (
        ("x\nMemAvailable:    2048 kB\n", 2),
        ("MemAvailable: x kB", None),
        ("other: 1", None),
    ):
        memory.write_text(text)
        assert free_memory() == found
