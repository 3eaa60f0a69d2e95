"""The options that the wheel's server takes: flags, their values, and the attributes they set."""

from pathlib import Path
from typing import Any

import pytest
import xllamacpp

from proxy.llama_server import wheel_server
from proxy.llama_server.wheel_options import OPTIONS


def test_flags_are_attributes() -> None:
    parameters = xllamacpp.CommonParams()
    wheel_server.configure(
        parameters,
        [
            "-m",
            "m.gguf",
            "--alias",
            "a",
            "--host",
            "::1",
            "--port",
            "5",
            "-c",
            "6",
            "--temp",
            "0.5",
            "-t",
            "3",
        ],
        "k",
    )
    assert parameters.model.path == "m.gguf"
    assert parameters.model_alias == {"a"}
    assert parameters.hostnames == ["::1"]
    assert (parameters.port, parameters.n_ctx, parameters.n_parallel) == (5, 6, -1)
    assert (parameters.sampling.temp, parameters.cpuparams.n_threads) == (0.5, 3)
    assert parameters.api_keys == ["k"]
    wheel_server.configure(parameters, [], "")
    assert parameters.api_keys == []


GIVEN = {
    "JSON": '{"a": true}',
    "TYPES": "ngram-mod,draft-simple",
    "M": "0x1f",
    "lo-hi": "1-3",
    "N0,N1,...": "3,1",
    "MiB0,MiB1,...": "512,2048",
    "PATTERN=BUFFER,...": "x=CPU",
    "GRAMMAR": 'root ::= "a"',
    "SAMPLERS": "top_k;min_p",
    "P0,P1,...": "0.5,0.25",
    "DEVICE": "none",
    "DEVICE,...": "none",
}


@pytest.mark.parametrize("names", OPTIONS)
def test_every_flag_of_the_table_reaches_its_attribute(names: str, tmp_path: Path) -> None:
    """Read back from the real structure: an attribute that a new wheel has no more would be
    found here.
    """
    attribute, (flag, *others) = OPTIONS[names], names.split()
    file = tmp_path / "f"
    file.write_text("text")
    given = GIVEN | {
        "FILE": str(file),
        "FOLDER": str(tmp_path),
        "FILE,...": f"{file},{file}",
        "FILE:SCALE,...": f"{file}:0.5",
    }
    values: list[list[str]] = [[word] for word in attribute.words] or [
        [given.get(attribute.hint, "8")]
    ]
    if attribute.is_switch:
        values = [[]]
    for value in values:
        for name in [flag, *others]:
            parameters: Any = xllamacpp.CommonParams()
            wheel_server.configure(parameters, [name, *value], "")
            no_device = value == ["none"] and attribute.hint == "DEVICE,..."  # it has no name
            expected = attribute.kind(value[0]) if value else not attribute.inverted
            assert repr(attribute.get(parameters)) == repr("" if no_device else expected)
    if attribute.is_switch:
        parameters = xllamacpp.CommonParams()
        wheel_server.configure(parameters, [f"--no-{flag[2:]}"], "")
        assert attribute.get(parameters) is attribute.inverted


def test_devices_in_the_words_of_llama_server() -> None:
    found = [
        {
            "name": "CUDA0",
            "description": "NVIDIA GeForce RTX 3090",
            "memory_total": 24 * 2**30,
            "memory_free": 2**30,
        }
    ]
    assert wheel_server.devices(found) == [
        "device_info:",
        "  - CUDA0   : NVIDIA GeForce RTX 3090 (24576 MiB, 1024 MiB free)",
    ]
