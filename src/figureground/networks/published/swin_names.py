"""The names that published Swins give their tensors: ``transformers`` 4 and 5, timm, the authors' release."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from figureground.networks.published.renaming import Renaming, Rule, joined

_BUFFERS = ("relative_position_index", "attn_mask")
_STAGES = 4


def body_rules(theirs: str, ours: str) -> list[Rule]:
    """Rules for a Swin that they keep under ``theirs`` (a regular expression) and we under ``ours``, both with dots.

    Merging stands at the end of a stage, as ``transformers`` and the authors have it.
    """
    layer = rf"{theirs}(?:encoder\.)?layers\.(\d)"
    block, mine = rf"{layer}\.blocks\.(\d+)", rf"{ours}stages.\1.blocks.\2"
    merges = [
        (rf"{theirs}(?:encoder\.)?layers\.{stage}\.downsample\.{part}", f"{ours}stages.{stage + 1}.merge.{renamed}")
        for stage in range(_STAGES - 1)
        for part, renamed in (("norm", "norm"), ("reduction", "reduce"))
    ]
    return [
        (rf"{theirs}(?:embeddings\.patch_embeddings\.projection|patch_embed\.proj)", rf"{ours}embed.project"),
        (rf"{theirs}(?:embeddings|patch_embed)\.norm", rf"{ours}embed.norm"),
        (rf"{block}\.(?:layernorm_before|norm1)", rf"{mine}.norm1"),
        (rf"{block}\.(?:layernorm_after|norm2)", rf"{mine}.norm2"),
        (rf"{block}\.attention\.(?:self\.query|q_proj)", rf"{mine}.attention.query_part"),
        (rf"{block}\.attention\.(?:self\.key|k_proj)", rf"{mine}.attention.key_part"),
        (rf"{block}\.attention\.(?:self\.value|v_proj)", rf"{mine}.attention.value_part"),
        (rf"{block}\.attn\.qkv", rf"{mine}.attention.query_key_value"),
        (rf"{block}\.(?:attention\.output\.dense|attention\.o_proj|attn\.proj)", rf"{mine}.attention.out"),
        (
            rf"{block}\.(?:attention\.self|attention\.relative_position_bias|attn)\.relative_position_bias_table",
            rf"{mine}.attention.bias_table",
        ),
        (rf"{block}\.(?:intermediate\.dense|mlp\.fc1)", rf"{mine}.mlp.widen"),
        (rf"{block}\.(?:output\.dense|mlp\.fc2)", rf"{mine}.mlp.narrow"),
        *merges,
    ]


def whole_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renamed tensors in our shapes: queries, keys and values in one; tables of places, which we compute, left out."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(_BUFFERS)}
    return joined(kept, ("query_part", "key_part", "value_part"), "query_key_value")


_RENAMING = Renaming(
    [
        *body_rules(r"(?:backbone\.|swin\.|model\.)*", ""),
        *((rf"(?:backbone\.)?hidden_states_norms\.stage{stage + 1}", f"norms.{stage}") for stage in range(_STAGES)),
        (r"(?:backbone\.)?hidden_states_norms\.(\d)", r"norms.\1"),
        (r"(?:backbone\.)?norm(\d)", r"norms.\1"),
    ]
)


def our_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published Swin under the names of `figureground.networks.encoders.swin.Swin`; unknown names stay."""
    return whole_weights(_RENAMING.apply(_merging_last(state)))


def _merging_last(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What timm calls the merging of a stage under the stage before, where the others have it."""
    if any("layers.0.downsample." in name for name in state):
        return dict(state)
    moved = {}
    for name, tensor in state.items():
        head, found, tail = name.partition(".downsample.")
        if found:
            before, _, stage = head.rpartition(".")
            name = f"{before}.{int(stage) - 1}.downsample.{tail}"
        moved[name] = tensor
    return moved
