"""Heads: what a network's last maps mean, one form for each way to score a tree.

A head goes around any registered network and asks it for as many maps as it needs. Whatever is trained, what comes out
of `forward` is one logit for each leaf, with the background's at 0, so that every bundle is read the same way.
"""

from figureground.networks.heads.headed import HEADS, HeadedNetwork, with_head

__all__ = ["HEADS", "HeadedNetwork", "with_head"]
