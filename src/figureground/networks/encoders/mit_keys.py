"""The names that published SegFormer and MiT checkpoints give their tensors, turned into ours.

Known: ``transformers`` 5, ``transformers`` 4 with the files on its hub, the authors' release with
segmentation-models-pytorch, and mmsegmentation 0 and 1, whose decoder is another one: see
`figureground.networks.segformer.NormalisedDecoder`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Their name -> ours, without the end (weight, bias and so on). {i} is a stage from 0, {i1} from 1, {r} one that counts
# from the coarsest, {j} a block. Prefixes are dropped before.
_NAMES = {
    # transformers 5
    "stages.{i}.patch_embeddings.proj": "encoder.stages.{i}.embed.project",
    "stages.{i}.patch_embeddings.layer_norm": "encoder.stages.{i}.embed.norm",
    "stages.{i}.blocks.{j}.layernorm_before": "encoder.stages.{i}.blocks.{j}.norm1",
    "stages.{i}.blocks.{j}.attention.q_proj": "encoder.stages.{i}.blocks.{j}.attention.query",
    "stages.{i}.blocks.{j}.attention.k_proj": "encoder.stages.{i}.blocks.{j}.attention.key",
    "stages.{i}.blocks.{j}.attention.v_proj": "encoder.stages.{i}.blocks.{j}.attention.value",
    "stages.{i}.blocks.{j}.attention.o_proj": "encoder.stages.{i}.blocks.{j}.attention.out",
    "stages.{i}.blocks.{j}.attention.sequence_reduction.sequence_reduction": (
        "encoder.stages.{i}.blocks.{j}.attention.reduce"
    ),
    "stages.{i}.blocks.{j}.attention.sequence_reduction.layer_norm": (
        "encoder.stages.{i}.blocks.{j}.attention.reduce_norm"
    ),
    "stages.{i}.blocks.{j}.layernorm_after": "encoder.stages.{i}.blocks.{j}.norm2",
    "stages.{i}.blocks.{j}.mlp.fc1": "encoder.stages.{i}.blocks.{j}.mlp.widen",
    "stages.{i}.blocks.{j}.mlp.dwconv.dwconv": "encoder.stages.{i}.blocks.{j}.mlp.depthwise",
    "stages.{i}.blocks.{j}.mlp.fc2": "encoder.stages.{i}.blocks.{j}.mlp.narrow",
    "stages.{i}.layer_norm": "encoder.stages.{i}.norm",
    "decode_head.linear_projections.{i}.proj": "head.project.{i}",
    # transformers 4
    "patch_embeddings.{i}.proj": "encoder.stages.{i}.embed.project",
    "patch_embeddings.{i}.layer_norm": "encoder.stages.{i}.embed.norm",
    "block.{i}.{j}.layer_norm_1": "encoder.stages.{i}.blocks.{j}.norm1",
    "block.{i}.{j}.attention.self.query": "encoder.stages.{i}.blocks.{j}.attention.query",
    "block.{i}.{j}.attention.self.key": "encoder.stages.{i}.blocks.{j}.attention.key",
    "block.{i}.{j}.attention.self.value": "encoder.stages.{i}.blocks.{j}.attention.value",
    "block.{i}.{j}.attention.output.dense": "encoder.stages.{i}.blocks.{j}.attention.out",
    "block.{i}.{j}.attention.self.sr": "encoder.stages.{i}.blocks.{j}.attention.reduce",
    "block.{i}.{j}.attention.self.layer_norm": "encoder.stages.{i}.blocks.{j}.attention.reduce_norm",
    "block.{i}.{j}.layer_norm_2": "encoder.stages.{i}.blocks.{j}.norm2",
    "block.{i}.{j}.mlp.dense1": "encoder.stages.{i}.blocks.{j}.mlp.widen",
    "block.{i}.{j}.mlp.dwconv.dwconv": "encoder.stages.{i}.blocks.{j}.mlp.depthwise",
    "block.{i}.{j}.mlp.dense2": "encoder.stages.{i}.blocks.{j}.mlp.narrow",
    "layer_norm.{i}": "encoder.stages.{i}.norm",
    "decode_head.linear_c.{i}.proj": "head.project.{i}",
    # both
    "decode_head.linear_fuse": "head.fuse.0",
    "decode_head.batch_norm": "head.fuse.1",
    "decode_head.classifier": "head.classify",
    # the release and segmentation-models-pytorch
    "patch_embed{i1}.proj": "encoder.stages.{i}.embed.project",
    "patch_embed{i1}.norm": "encoder.stages.{i}.embed.norm",
    "block{i1}.{j}.norm1": "encoder.stages.{i}.blocks.{j}.norm1",
    "block{i1}.{j}.attn.q": "encoder.stages.{i}.blocks.{j}.attention.query",
    "block{i1}.{j}.attn.kv": "encoder.stages.{i}.blocks.{j}.attention.key_value",
    "block{i1}.{j}.attn.proj": "encoder.stages.{i}.blocks.{j}.attention.out",
    "block{i1}.{j}.attn.sr": "encoder.stages.{i}.blocks.{j}.attention.reduce",
    "block{i1}.{j}.attn.norm": "encoder.stages.{i}.blocks.{j}.attention.reduce_norm",
    "block{i1}.{j}.norm2": "encoder.stages.{i}.blocks.{j}.norm2",
    "block{i1}.{j}.mlp.fc1": "encoder.stages.{i}.blocks.{j}.mlp.widen",
    "block{i1}.{j}.mlp.dwconv.dwconv": "encoder.stages.{i}.blocks.{j}.mlp.depthwise",
    "block{i1}.{j}.mlp.fc2": "encoder.stages.{i}.blocks.{j}.mlp.narrow",
    "norm{i1}": "encoder.stages.{i}.norm",
    "decode_head.linear_c{i1}.proj": "head.project.{i}",
    "decode_head.linear_fuse.conv": "head.fuse.0",
    "decode_head.linear_fuse.bn": "head.fuse.1",
    "decode_head.linear_pred": "head.classify",
    "decoder.mlp_stage.{r}.linear": "head.project.{i}",
    "decoder.fuse_stage.0": "head.fuse.0",
    "decoder.fuse_stage.1": "head.fuse.1",
    "segmentation_head.0": "head.classify",
    # mmsegmentation
    "layers.{i}.0.projection": "encoder.stages.{i}.embed.project",
    "layers.{i}.0.norm": "encoder.stages.{i}.embed.norm",
    "layers.{i}.1.{j}.norm1": "encoder.stages.{i}.blocks.{j}.norm1",
    "layers.{i}.1.{j}.attn.attn.in_proj": "encoder.stages.{i}.blocks.{j}.attention.query_key_value",
    "layers.{i}.1.{j}.attn.attn.out_proj": "encoder.stages.{i}.blocks.{j}.attention.out",
    "layers.{i}.1.{j}.attn.sr": "encoder.stages.{i}.blocks.{j}.attention.reduce",
    "layers.{i}.1.{j}.attn.norm": "encoder.stages.{i}.blocks.{j}.attention.reduce_norm",
    "layers.{i}.1.{j}.norm2": "encoder.stages.{i}.blocks.{j}.norm2",
    "layers.{i}.1.{j}.ffn.layers.0": "encoder.stages.{i}.blocks.{j}.mlp.widen",
    "layers.{i}.1.{j}.ffn.layers.1": "encoder.stages.{i}.blocks.{j}.mlp.depthwise",
    "layers.{i}.1.{j}.ffn.layers.4": "encoder.stages.{i}.blocks.{j}.mlp.narrow",
    "layers.{i}.2": "encoder.stages.{i}.norm",
    "decode_head.convs.{i}.conv": "head.project.{i}.0",
    "decode_head.convs.{i}.bn": "head.project.{i}.1",
    "decode_head.fusion_conv.conv": "head.fuse.0.finest_first",
    "decode_head.fusion_conv.bn": "head.fuse.1",
    "decode_head.conv_seg": "head.classify",
}
_STAGES = 4
_NUMBERS = {"{i}": r"(?P<i>\d+)", "{i1}": r"(?P<i1>\d+)", "{r}": r"(?P<r>\d+)", "{j}": r"(?P<j>\d+)"}
_PREFIX = re.compile(r"^(?:(?:segformer|encoder|backbone)\.)*")


def _pattern(name: str) -> re.Pattern[str]:
    pattern = re.escape(name)
    for mark, number in _NUMBERS.items():
        pattern = pattern.replace(re.escape(mark), number)
    return re.compile(pattern)


_PATTERNS = [(_pattern(theirs), ours) for theirs, ours in _NAMES.items()]


def our_name(name: str) -> str:
    """Our name of a published checkpoint's tensor; a name not known is returned as it is.

    Separate keys and values, and queries, keys and values in one, have names of their own, which `our_tensors` joins
    and splits: "...attention.key", "...value" and "...query_key_value". So has a mixing convolution that reads the
    maps in the other order.
    """
    body, _, end = name.replace("in_proj_", "in_proj.").rpartition(".")
    body = _PREFIX.sub("", body)
    for pattern, ours in _PATTERNS:
        match = pattern.fullmatch(body)
        if match:
            found = {mark: int(number) for mark, number in match.groupdict().items()}
            return f"{ours.format(i=_stage(found), j=found.get('j'))}.{end}"
    return name


def _stage(numbers: Mapping[str, int]) -> int | None:
    if "i1" in numbers:
        return numbers["i1"] - 1
    if "r" in numbers:
        return _STAGES - 1 - numbers["r"]
    return numbers.get("i")


def our_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint under our names and in our shapes; what is not known keeps its name."""
    renamed = {our_name(name): tensor for name, tensor in state.items()}
    tensors: dict[str, Tensor] = {}
    for name, tensor in renamed.items():
        if ".attention.key." in name:
            value = renamed.get(name.replace(".key.", ".value."))
            if value is not None:
                tensors[name.replace(".key.", ".key_value.")] = torch.cat([tensor, value])
        elif ".attention.query_key_value." in name:
            width = len(tensor) // 3
            tensors[name.replace(".query_key_value.", ".query.")] = tensor[:width]
            tensors[name.replace(".query_key_value.", ".key_value.")] = tensor[width:]
        elif ".finest_first." in name:
            tensors[name.replace(".finest_first.", ".")] = torch.cat(tensor.chunk(_STAGES, dim=1)[::-1], dim=1)
        elif ".mlp.widen." in name or ".mlp.narrow." in name:
            tensors[name] = tensor.flatten(1) if tensor.ndim > 1 else tensor
        elif ".attention.value." not in name:
            tensors[name] = tensor
    return tensors
