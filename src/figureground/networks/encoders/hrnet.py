"""HRNetV2's body (Wang et al., arXiv:1908.07919) over timm's: four resolutions in parallel, exchanged again and again.

timm builds the classification network, whose coarse maps are upsampled by repetition before they are added to finer
ones; the segmentation network interpolates bilinearly there, and so does this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError, suggest
from figureground.networks.encoders.timm_encoder import TimmEncoder


def hrnet_encoder(name: str, *, in_channels: int, weights: str | None) -> TimmEncoder:
    """Maps of the last stage at strides 4, 8, 16 and 32, with w, 2w, 4w and 8w channels.

    name: one of timm's, such as "hrnet_w18", "hrnet_w48" or "hrnet_w18_small".
    in_channels, weights: as for `TimmEncoder`; timm's classification weights fit.

    Raises NetworkError for a name that is no HRNet of timm.
    """
    known = timm.list_models("hrnet_*")
    if name not in known:
        raise NetworkError(f"there is no HRNet '{name}'", remedy=suggest(name, known))
    encoder = TimmEncoder(
        name, in_channels=in_channels, weights=weights, levels=None, out_indices=(1, 2, 3, 4), feature_location=""
    )
    for module in encoder.modules():
        if isinstance(module, nn.Upsample):
            module.mode, module.align_corners = "bilinear", False
    return encoder


def concatenated(maps: Sequence[Tensor]) -> Tensor:
    """HRNetV2's representation: all maps upsampled bilinearly to the first and concatenated.

    (N, C_i, H / 2**i, W / 2**i) -> (N, sum of C_i, H, W).
    """
    finest, *coarser = maps
    upsampled = [
        F.interpolate(x, scale_factor=float(2**level), mode="bilinear", align_corners=False)
        for level, x in enumerate(coarser, 1)
    ]
    return torch.cat([finest, *upsampled], dim=1)
