"""The names of ``transformers``' MaskFormer, versions 4 (the files on its hub) and 5, over Swin, ResNet and timm."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from figureground.networks.published.renaming import Renaming, Rule
from figureground.networks.published.swin_names import body_rules, whole_weights

_ENCODER = r"model\.pixel_level_module\.encoder\."
_PIXELS = r"model\.pixel_level_module\.decoder\."
_QUERIES = r"model\.transformer_module\."
_LAYER = rf"{_QUERIES}decoder\.layers\.(\d+)\."
_UNREAD = ("criterion.empty_weight", "num_batches_tracked")


def _resnet() -> list[Rule]:
    """``transformers``' ResNet -> timm's names."""
    rules = [
        (rf"{_ENCODER}embedder\.embedder\.convolution", "encoder.body.conv1"),
        (rf"{_ENCODER}embedder\.embedder\.normalization", "encoder.body.bn1"),
    ]
    for stage in range(4):
        theirs, ours = rf"{_ENCODER}encoder\.stages\.{stage}\.layers\.(\d+)", rf"encoder.body.layer{stage + 1}.\1"
        rules += [
            (rf"{theirs}\.shortcut\.convolution", rf"{ours}.downsample.0"),
            (rf"{theirs}\.shortcut\.normalization", rf"{ours}.downsample.1"),
        ]
        for layer in range(3):
            rules += [
                (rf"{theirs}\.layer\.{layer}\.convolution", rf"{ours}.conv{layer + 1}"),
                (rf"{theirs}\.layer\.{layer}\.normalization", rf"{ours}.bn{layer + 1}"),
            ]
    return rules


_RENAMING = Renaming(
    [
        *body_rules(rf"{_ENCODER}model\.", "encoder."),
        (rf"{_ENCODER}hidden_states_norms\.(\d)", r"encoder.norms.\1"),
        *_resnet(),
        (rf"{_ENCODER}_backbone", "encoder.body"),
        (rf"{_PIXELS}fpn\.stem", "pixels.coarsest"),
        (rf"{_PIXELS}fpn\.layers\.(\d)\.proj", r"pixels.laterals.\1"),
        (rf"{_PIXELS}fpn\.layers\.(\d)\.block", r"pixels.refine.\1"),
        (rf"{_PIXELS}mask_projection", "pixels.project"),
        (rf"{_QUERIES}queries_embedder\.weight", "decoder.queries"),
        (rf"{_QUERIES}input_projection", "memory"),
        (rf"{_LAYER}self_attn\.q_proj", r"decoder.layers.\1.to_queries.query"),
        (rf"{_LAYER}self_attn\.k_proj", r"decoder.layers.\1.to_queries.key"),
        (rf"{_LAYER}self_attn\.v_proj", r"decoder.layers.\1.to_queries.value"),
        (rf"{_LAYER}self_attn\.(?:o_proj|out_proj)", r"decoder.layers.\1.to_queries.out"),
        (rf"{_LAYER}encoder_attn\.q_proj", r"decoder.layers.\1.to_map.query"),
        (rf"{_LAYER}encoder_attn\.k_proj", r"decoder.layers.\1.to_map.key"),
        (rf"{_LAYER}encoder_attn\.v_proj", r"decoder.layers.\1.to_map.value"),
        (rf"{_LAYER}encoder_attn\.(?:o_proj|out_proj)", r"decoder.layers.\1.to_map.out"),
        (rf"{_LAYER}self_attn_layer_norm", r"decoder.layers.\1.norm1"),
        (rf"{_LAYER}encoder_attn_layer_norm", r"decoder.layers.\1.norm2"),
        (rf"{_LAYER}final_layer_norm", r"decoder.layers.\1.norm3"),
        (rf"{_LAYER}(?:mlp\.)?fc1", r"decoder.layers.\1.widen"),
        (rf"{_LAYER}(?:mlp\.)?fc2", r"decoder.layers.\1.narrow"),
        (rf"{_QUERIES}decoder\.layernorm", "decoder.norm"),
        (r"class_predictor", "classify"),
        (r"mask_embedder\.(\d)\.0", r"embed.\1"),
    ]
)


def our_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published MaskFormer under our names and in our shapes; unknown names stay.

    Left out: the loss's class weights and what counts batches, which are no weights of the network.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(_UNREAD)}
    return whole_weights(_RENAMING.apply(kept))
