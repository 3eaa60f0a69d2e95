"""The table of options against the attributes that the wheel really has: a new wheel shows here
what is not known yet.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xllamacpp

from proxy.llama_server import wheel_server
from proxy.llama_server.wheel_options import OPTIONS

LEFT_OUT = {
    "llama-bridge sets it itself (renamed.OURS says why)": """
        api_keys api_prefix log_json models_autoload models_dir models_max models_preset
        models_preset_hf path_prompts_log_dir reuse_port sleep_idle_seconds ssl_file_cert
        ssl_file_key""",
    "the wheel downloads nothing": """
        hf_token offline model.docker_repo model.hf_file model.hf_repo model.url mmproj.docker_repo
        mmproj.hf_file mmproj.hf_repo mmproj.url speculative.draft.mparams.docker_repo
        speculative.draft.mparams.hf_file speculative.draft.mparams.hf_repo
        speculative.draft.mparams.url""",
    "set together with another one": """
        cpuparams.mask_valid cpuparams_batch.mask_valid speculative.draft.cpuparams.mask_valid
        speculative.draft.cpuparams_batch.mask_valid timeout_write sampling.user_sampling_config
        cors_origins_explicit""",
    "the wheel cannot make a value for it": "sampling.logit_bias sampling.logit_bias_eog",
    "the vectors that this range is for have no attribute": (
        "control_vector_layer_start control_vector_layer_end"
    ),
    "the server sets it for each request, or has no flag for it": """
        enable_chat_template load_mtp n_outputs_max n_outputs_max_per_seq n_sequences no_alloc
        preserve_reasoning_specified sampling.generation_prompt sampling.min_keep sampling.n_prev
        sampling.n_probs sampling.no_perf sampling.reasoning_budget_end
        sampling.reasoning_budget_forced sampling.reasoning_budget_start sampling.reasoning_control
        sampling.timing_per_token server_base show_timings tensor_filter""",
    "of llama.cpp's other programs": """
        activation_statistics check chunk_separator chunk_size cls_sep compute_ppl context_files
        diffusion.add_gumbel_noise diffusion.alg_temp diffusion.algorithm diffusion.block_length
        diffusion.cfg_scale diffusion.eps diffusion.steps diffusion.visual_mode display_prompt
        embd_out embd_sep fit_params_print grp_attn_n grp_attn_w hellaswag hellaswag_tasks i_chunk
        i_pos image imat_dat in_files input_prefix input_prefix_bos input_suffix interactive
        is_gen_docs is_pp_shared is_tg_separate kl_divergence logits_file logits_output_dir
        multiline_input multiple_choice multiple_choice_tasks n_chunks n_junk n_out_freq n_pca_batch
        n_pca_iterations n_pl n_pp n_print n_save_freq n_tg out_file parse_special path_prompt_cache
        ppl_output_type ppl_stride process_output prompt prompt_cache_all prompt_cache_ro
        prompt_file save_logits show_statistics simple_io single_turn system_prompt tokenize_ids
        tokenize_no_bos tokenize_show_count tokenize_stdin tts_lang tts_speaker_file usage use_color
        verbose_prompt winogrande winogrande_tasks""",
}
PARTS = (
    "CommonParams",
    "CommonParamsModel",
    "CommonParamsSampling",
    "CpuParams",
    "CommonParamsDiffusion",
)


def attributes(owner: Any, before: str = "") -> Iterator[str]:
    for name in dir(owner):
        value = getattr(owner, name)
        if name.startswith("_") or callable(value):
            continue
        if type(value).__name__.startswith(PARTS):
            yield from attributes(value, f"{before}{name}.")
        else:
            yield before + name


def test_each_attribute_of_the_wheel_is_an_option_or_left_out_for_a_reason() -> None:
    real = set(attributes(xllamacpp.CommonParams()))
    left_out = [path for paths in LEFT_OUT.values() for path in paths.split()]
    known = {attribute.path for attribute in OPTIONS.values()}
    assert len(left_out) == len(set(left_out))
    assert real - known - set(left_out) == set(), "new in this wheel"
    assert (known | set(left_out)) - real == set(), "not in this wheel any more"
    assert known & set(left_out) == set()


def configured(*flags: str) -> Any:
    parameters = xllamacpp.CommonParams()
    wheel_server.configure(parameters, flags, "")
    return parameters


def test_the_cache_that_slots_share() -> None:
    parameters = configured("--kv-unified", "--parallel", "2", "--kv-unified-per-slot", "4096")
    assert (parameters.kv_unified, parameters.n_parallel, parameters.kv_unified_per_slot) == (
        True,
        2,
        4096,
    )


def test_sampling_options_take_precedence_over_the_file() -> None:
    kinds = xllamacpp.common_params_sampling_config
    said = configured(
        "--temp", "0", "--top-k", "5", "--presence-penalty", "1"
    ).sampling.user_sampling_config
    assert said == int(kinds.COMMON_PARAMS_SAMPLING_CONFIG_TEMP) | int(
        kinds.COMMON_PARAMS_SAMPLING_CONFIG_TOP_K
    )
    assert configured().sampling.user_sampling_config == 0


def test_flags_that_add_to_one_attribute(tmp_path: Path) -> None:
    parameters = configured(
        "-ot",
        "a=CPU",
        "--n-cpu-moe",
        "2",
        "--lora",
        "a:b.gguf",
        "--lora-scaled",
        "c.gguf:0.5,d.gguf:2",
        "-r",
        "x",
        "-r",
        "y",
    )
    experts = [rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU" for layer in range(2)]
    assert parameters.tensor_buft_overrides.split(",") == ["a=CPU", *experts]
    assert [(one.path, one.scale) for one in parameters.lora_adapters] == [
        ("a:b.gguf", 1.0),
        ("c.gguf", 0.5),
        ("d.gguf", 2.0),
    ]
    assert parameters.antiprompt == ["x", "y"]


def test_values_in_another_form() -> None:
    parameters = configured(
        "-C",
        "0x5",
        "--tensor-split",
        "3/1",
        "--fit-target",
        "512",
        "--rope-scale",
        "4",
        "--timeout",
        "9",
        "--moe-cache-mib",
        "2",
    )
    assert [at for at, on in enumerate(parameters.cpuparams.cpumask) if on] == [0, 2]
    assert parameters.cpuparams.mask_valid
    assert not parameters.cpuparams_batch.mask_valid
    assert parameters.tensor_split[:3] == [3.0, 1.0, 0.0]
    assert set(parameters.fit_params_target) == {512 * 2**20}
    assert parameters.rope_freq_scale == 0.25
    assert (parameters.timeout_read, parameters.timeout_write) == (9, 9)
    assert parameters.moe_cache_size == 2 * 2**20
    assert [at for at, on in enumerate(configured("-Cr", "2-4").cpuparams.cpumask) if on] == [
        2,
        3,
        4,
    ]
    assert configured("--fit-target", "1,2").fit_params_target[:3] == [
        2**20,
        2 * 2**20,
        1024 * 2**20,
    ]
