"""The named causes, from the words that real engines have written."""

import pytest

from proxy.llama_server.process.crash_diagnosis import diagnose


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            (
                "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: "
                "cudaMalloc failed: out of memory"
            ),
            "out of GPU memory.",
        ),
        (
            (
                "ggml_vulkan: Device memory allocation of size 1 failed: "
                "vk::Device::allocateMemory: ErrorOutOfDeviceMemory"
            ),
            "out of GPU memory.",
        ),
        (
            "ggml_aligned_malloc: insufficient memory (attempted to allocate 48828.12 MB)",
            "out of memory.",
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "out of memory."),
        (
            (
                "llama_init_from_model: failed to initialize the context: "
                "failed to allocate buffer for kv cache"
            ),
            "out of memory.",
        ),
        ("error: invalid argument: --bogus", "bad flag --bogus."),
        ('error while handling argument "--ctx-size": stoi', "bad flag --ctx-size."),
        ("error: invalid value for argument: -c many", "bad value for the flag -c many."),
        (
            "start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 19005",
            "port in use.",
        ),
        (
            (
                "gguf_init_from_file: failed to open GGUF file 'my models/a.gguf' (No such file or "
                "directory)"
            ),
            "model file missing: my models/a.gguf.",
        ),
        (
            "gguf_init_from_file: failed to open 'a.gguf': 'No such file or directory'",
            "model file missing: a.gguf.",
        ),
        (
            "error loading model: failed to open /m/a.gguf: No such file or directory",
            "model file missing: /m/a.gguf.",
        ),
        (
            "gguf_init_from_file: failed to open GGUF file 'a.gguf' (Permission denied)",
            "model file not readable: a.gguf.",
        ),
        (
            "llama_model_load: error loading model: unknown model architecture: 'qwen9'",
            "unknown model architecture 'qwen9'.",
        ),
        (
            "gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'",
            "model file damaged.",
        ),
        (
            (
                "tensor 'token_embd.weight' data is not within the file bounds, "
                "model is corrupted or incomplete"
            ),
            "model file damaged.",
        ),
        (
            (
                "llama-server: error while loading shared libraries: libcudart.so.12: "
                "cannot open shared object file"
            ),
            "library missing: libcudart.so.12.",
        ),
        (
            'error while handling argument "--device": invalid device: CUDA0',
            "no usable GPU: this llama-server has no device CUDA0.",
        ),
        (
            "/src/llama-context.cpp:2529: GGML_ASSERT(n_outputs >= 1) failed",
            "assertion failed in the engine: GGML_ASSERT(n_outputs >= 1).",
        ),
        (
            "E srv          init: init: chat template parsing error: std::exception",
            "bad chat template.",
        ),
        ("error: the supplied chat template is not supported: x", "bad chat template."),
        ("srv    load_model: failed to load model, 'x.gguf'", "model not loadable."),
        (
            "[llama-bridge] the engine cannot be started: Exec format error: /x",
            "the engine cannot be started: Exec format error: /x.",
        ),
    ],
)
def test_a_line_names_the_cause_with_its_cure(line: str, cause: str) -> None:
    said = diagnose(
        ["srv init: initializing", line, "srv init: exiting due to model loading error"], 1
    )
    assert said.startswith(cause)
    assert len(said) > len(cause) + 10


@pytest.mark.parametrize(
    ("lines", "code", "cause"),
    [
        ([], -9, "killed by SIGKILL. Unless you did that, the system was out of memory"),
        ([], -4, "killed by SIGILL. This llama-server was built for another processor"),
        ([], -11, "killed by SIGSEGV."),
        ([], -42, "killed by signal 42."),
        (["one", "two", ""], 1, "ended with code 1: two"),
        ([], 0, "ended with code 0: no output"),
        (["one"], None, "ended without an exit code: one"),
    ],
)
def test_without_such_a_line_the_exit_code_is_reported(
    lines: list[str], code: int | None, cause: str
) -> None:
    assert diagnose(lines, code).startswith(cause)


def test_what_failed_first_explains_the_rest() -> None:
    lines = [
        (
            "W common_fit_params: failed to fit params to free device memory: "
            "was unable to fit model into system memory"
        ),
        "E ggml_aligned_malloc: insufficient memory (attempted to allocate 48828.12 MB)",
        "E srv    load_model: failed to load model, 'x.gguf'",
    ]
    assert diagnose(lines, 1).startswith("out of memory.")


def test_memory_is_reported_in_figures() -> None:
    lines = [
        "  - CUDA0   : NVIDIA GeForce RTX 3060 (12288 MiB, 7900 MiB free)",
        "  - CPU     : a processor (32000 MiB, 30000 MiB free)",
        (
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: "
            "cudaMalloc failed: out of memory"
        ),
    ]
    assert diagnose(lines, 1).startswith(
        "out of GPU memory. Wanted: 9,000 MiB, free: 7,900 MiB. In llama-server.conf, halve "
        "`ctx-size`"
    )
    assert diagnose(lines[2:], 1).startswith("out of GPU memory. Wanted: 9,000 MiB. In")
    assert diagnose(["ggml_aligned_malloc: insufficient memory"], 1).startswith(
        "out of memory. In llama-server.conf"
    )
