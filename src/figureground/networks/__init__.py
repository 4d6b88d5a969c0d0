"""Segmentation networks: one file per architecture, found by name.

A network maps images (N, C, H, W), normalised float, to logits (N, leaves, H, W) at the same size, whatever the size.
"""

from figureground.networks.registry import NetworkSpec, create, list_networks, register, spec
from figureground.networks.stages import Outline, Stage, outline

__all__ = ["NetworkSpec", "Outline", "Stage", "create", "list_networks", "outline", "register", "spec"]
