"""Optional modules that mean the same on every network which reads maps from an encoder.

| switch | what it adds |
| --- | --- |
| gates | every map that the decoder reads, plus its gate (`attention_boosting`) |
| dual_attention | HSNet's dual attention on the finest of these maps (`dual_attention`) |
| auxiliary | a segmentation of the encoder's last map but one, the output "aux_encoder" of training (`auxiliary`) |

All are off by default. What is off has no tensors and takes nothing from the random numbers, so a network without
switches is the same, weight by weight, as if there were none; and its checkpoints fit where switches are on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from figureground.networks.blocks.attention_boosting import Boosted
from figureground.networks.blocks.auxiliary import AuxiliaryHead
from figureground.networks.blocks.dual_attention import DualAttention
from figureground.networks.blocks.frame import SegmentationNetwork, resize_logits


@dataclass(frozen=True)
class Switches:
    """What is on.

    gates: None, or a form of `attention_boosting.Gate`.
    """

    gates: str | None = None
    dual_attention: bool = False
    auxiliary: bool = False


OFF = Switches()
"""Nothing is on."""


class MapAttention(nn.Module):
    """Maps (N, channels[i], h_i, w_i), finest first -> the same shapes, boosted and attended.

    channels: of the maps.
    """

    def __init__(self, channels: Sequence[int], *, gates: str | None, dual_attention: bool) -> None:
        super().__init__()
        self.gates = nn.ModuleList(Boosted(nn.Identity(), width, gates) for width in channels if gates is not None)
        self.finest = DualAttention(channels[0]) if dual_attention else None

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first."""
        boosted = [gate(x) for gate, x in zip(self.gates, maps, strict=True)] if self.gates else list(maps)
        if self.finest is not None:
            boosted[0] = self.finest(boosted[0])
        return boosted


def map_attention(channels: Sequence[int], switches: Switches) -> nn.Module:
    """What stands between an encoder and its decoder, which reads maps of these channels: nothing, or attention."""
    if switches.gates is None and not switches.dual_attention:
        return nn.Identity()
    return MapAttention(channels, gates=switches.gates, dual_attention=switches.dual_attention)


class EncoderDecoder(SegmentationNetwork):
    """An encoder, and a decoder that reads its maps; the switches apply.

    A subclass sets `encoder` or writes `encode`, writes `decode`, in which it gives the maps it reads to `attend`, and
    at the end of its ``__init__`` calls `switch_on`.
    """

    encoder: nn.Module
    attend: nn.Module
    auxiliary: nn.Module | None

    def switch_on(
        self, switches: Switches, leaves: int, *, reads: Sequence[int], encoded: Sequence[int] | None = None
    ) -> None:
        """Add the modules that are switched on.

        reads: channels of the maps that the decoder reads, finest first.
        encoded: channels of the maps that `encode` gives; None for those of `encoder`.
        """
        self.attend = map_attention(reads, switches)
        channels: Sequence[int] = self.encoder.channels if encoded is None else encoded  # type: ignore[assignment]
        self.auxiliary = AuxiliaryHead(channels[-2], leaves) if switches.auxiliary else None

    @abstractmethod
    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The encoder's maps of the padded image ``x`` (N, C, H, W) -> logits (N, leaves, H, W)."""

    def encode(self, x: Tensor) -> Sequence[Tensor]:
        """(N, C, H, W) -> the encoder's maps, finest first."""
        maps: Sequence[Tensor] = self.encoder(x)
        return maps

    def compute(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, leaves, H, W)."""
        return self.decode(self.encode(x), x)

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """'logits', and 'aux_encoder' where it is switched on, each (N, leaves, H, W)."""
        maps = self.encode(x)
        outputs = {"logits": self.decode(maps, x)}
        if self.auxiliary is not None:
            outputs["aux_encoder"] = self.auxiliary_logits(self.auxiliary, maps, x)
        return outputs

    def auxiliary_logits(self, head: nn.Module, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """What the auxiliary head says of the padded image ``x`` (N, C, H, W): (N, leaves, H, W)."""
        return resize_logits(head(maps[-2]), x.shape[-2:])
