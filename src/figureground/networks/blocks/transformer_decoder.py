"""A transformer decoder over an image (Carion et al., arXiv:2005.12872): learned queries look at it and at each other.

Normalisation comes after each shortcut. Where things are is told by sines and cosines of a pixel's place, what a query
is by its learned vector; both are added to what is compared (queries and keys), never to what is mixed (values). The
queries' content starts at zero.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TEMPERATURE = 10000.0


def sine_positions(height: int, width: int, features: int, like: Tensor) -> Tensor:
    """(height * width, features): half of the features tell the row and half the column, both scaled to 2 pi.

    features: a multiple of 4; ``like`` gives device and type.
    """
    half = features // 2
    steps = torch.arange(half, device=like.device, dtype=like.dtype)
    wavelength = _TEMPERATURE ** (2 * torch.div(steps, 2, rounding_mode="floor") / half)
    coded = []
    for length in (height, width):
        place = torch.arange(1, length + 1, device=like.device, dtype=like.dtype)
        angle = (2 * math.pi * place / (place[-1:] + 1e-6))[:, None] / wavelength
        coded.append(torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1))
    rows = coded[0][:, None].expand(-1, coded[1].shape[0], -1)
    columns = coded[1][None].expand(coded[0].shape[0], -1, -1)
    return torch.cat((rows, columns), dim=2).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention: queries (N, Q, width) mix values (N, S, width) of keys (N, S, width) -> (N, Q, width).

    dropout: share of the attention that training drops.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Keys and values have one length, queries any."""
        asked, keys, values = self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(asked, keys, values, dropout_p=dropout)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, x.shape[2] // self.heads).transpose(1, 2)


class DecoderLayer(nn.Module):
    """Queries attend to each other, then to the map, then pass an MLP; a shortcut and a LayerNorm after each.

    hidden: width inside the MLP.
    dropout: share dropped in training: of the attention, inside the MLP, and of what is added to a shortcut.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.to_queries = Attention(width, heads, dropout)
        self.norm1 = nn.LayerNorm(width)
        self.to_map = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, names: Tensor, memory: Tensor, placed: Tensor) -> Tensor:
        """Content (N, Q, width) -> the same shape.

        names: (Q, width), the queries' learned vectors.
        memory, placed: the map as tokens (N, S, width), without and with its places added.
        """
        named = x + names
        x = self.norm1(x + self.dropout(self.to_queries(named, named, x)))
        x = self.norm2(x + self.dropout(self.to_map(x + names, placed, memory)))
        hidden = self.dropout(F.relu(self.widen(x), inplace=True))
        out: Tensor = self.norm3(x + self.dropout(self.narrow(hidden)))
        return out


class TransformerDecoder(nn.Module):
    """``queries`` learned queries read a map (N, width, h, w) in ``layers`` steps: all states (layers, N, Q, width).

    width: of map and queries, a multiple of ``heads`` and of 4.
    heads, hidden, dropout: as of `DecoderLayer`.
    """

    def __init__(
        self, width: int, queries: int, layers: int, *, heads: int = 8, hidden: int = 2048, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> (layers, N, queries, width), each state normalised by one shared LayerNorm."""
        memory = x.flatten(2).transpose(1, 2)
        placed = memory + sine_positions(x.shape[-2], x.shape[-1], x.shape[1], x)
        content = torch.zeros_like(self.queries).expand(x.shape[0], -1, -1)
        states = []
        for layer in self.layers:
            content = layer(content, self.queries, memory, placed)
            states.append(content)
        out: Tensor = self.norm(torch.stack(states))
        return out
