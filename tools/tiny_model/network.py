"""The network, in the form that llama.cpp runs as architecture "llama", and the GGUF file it is
shipped in.

The weights are one dictionary under the names that GGUF gives them, so that what is trained is what
is written. Three things must be just as in llama.cpp, or the served model would not be the trained
one: the rotary embedding turns *neighbouring* pairs of numbers, the output layer is the embedding
once more, and the matrices are rounded to 16 bits.
"""

import json
from pathlib import Path
from typing import TypeAlias

import gguf
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from tools.tiny_model.lessons import CONTROL_TOKENS, MARKER_TOKENS, VOCABULARY

NAME = "tiny-toolcaller"
WIDTH = 64
LAYERS = 2
HEADS = 2
HIDDEN = 128  # width of the feed-forward part
ROPE_BASE = 1e7  # large: a token that stands 60,000 positions away still looks the same
EPSILON = 1e-6
CONTEXT = 131_072

Weights: TypeAlias = dict[str, torch.Tensor]


def new_weights() -> Weights:
    """Return random weights, ready for training."""
    shapes = {"token_embd": (VOCABULARY, WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{norm}": (WIDTH,) for norm in ("attn_norm", "ffn_norm")}
        shapes |= {
            f"blk.{layer}.{matrix}": (WIDTH, WIDTH)
            for matrix in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        shapes |= {f"blk.{layer}.{matrix}": (HIDDEN, WIDTH) for matrix in ("ffn_gate", "ffn_up")}
        shapes[f"blk.{layer}.ffn_down"] = (WIDTH, HIDDEN)
    return {
        f"{name}.weight": _start(name, shape).requires_grad_() for name, shape in shapes.items()
    }


def _start(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if len(shape) == 1:
        return torch.ones(shape)
    if name == "token_embd":
        return torch.randn(shape) * 0.05
    return (torch.rand(shape) * 2 - 1) * shape[1] ** -0.5


def rounded(weights: Weights) -> Weights:
    """The weights with the precision they have in the file: matrices in 16 bits, the rest as it
    is.
    """
    return {
        name: w.detach().half().float() if w.ndim == 2 else w.detach()
        for name, w in weights.items()
    }


def scores(
    weights: Weights,
    tokens: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor | None = None,
    wanted: torch.Tensor | None = None,
) -> torch.Tensor:
    """How likely each token of the vocabulary comes next; tokens and positions are [lesson, place].

    mask is added to the attention ([lesson, 1, place, place]); without one each token sees all
    before it. wanted marks the places to answer for ([lesson, place] of bools); without it, all.
    """
    turn = _turn(positions)
    x = weights["token_embd.weight"][tokens]
    for layer in range(LAYERS):
        block = {
            name.split(".")[2]: w for name, w in weights.items() if name.startswith(f"blk.{layer}.")
        }
        x = x + _attention(block, _normed(x, block["attn_norm"]), turn, mask)
        x = x + _feed_forward(block, _normed(x, block["ffn_norm"]))
    x = _normed(x, weights["output_norm.weight"])
    if wanted is not None:
        x = x[wanted]
    return x @ weights["token_embd.weight"].T


def _turn(positions: torch.Tensor) -> torch.Tensor:
    """The angle of each pair of numbers at each position, as complex numbers of length one:
    [lesson, 1, place, pair].
    """
    size = WIDTH // HEADS
    speed = ROPE_BASE ** (-torch.arange(0, size, 2).double() / size)
    angle = positions.double()[:, None, :, None] * speed
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)


def _attention(
    block: Weights, x: torch.Tensor, turn: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    lessons, places, _ = x.shape

    def heads(name: str) -> torch.Tensor:
        return functional.linear(x, block[name]).view(lessons, places, HEADS, -1).transpose(1, 2)

    def turned(y: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(y.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * turn).flatten(-2)

    query, key, value = turned(heads("attn_q")), turned(heads("attn_k")), heads("attn_v")
    seen = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None
    )
    return functional.linear(
        seen.transpose(1, 2).reshape(lessons, places, WIDTH), block["attn_output"]
    )


def _feed_forward(block: Weights, x: torch.Tensor) -> torch.Tensor:
    gate = functional.silu(functional.linear(x, block["ffn_gate"]))
    return functional.linear(gate * functional.linear(x, block["ffn_up"]), block["ffn_down"])


def _normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(x, (WIDTH,), weight, EPSILON)


def write_gguf(out: Path, weights: Weights, tokenizer: Tokenizer, chat_template: str) -> None:
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(NAME)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, tokenizer)
    writer.add_chat_template(chat_template)
    for name, w in weights.items():
        writer.add_tensor(name, (w.detach().half() if w.ndim == 2 else w.detach()).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.id_to_token(i) for i in range(VOCABULARY)]
    types = dict.fromkeys(CONTROL_TOKENS, gguf.TokenType.CONTROL) | dict.fromkeys(
        MARKER_TOKENS, gguf.TokenType.USER_DEFINED
    )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([types.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges(
        [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    )
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
