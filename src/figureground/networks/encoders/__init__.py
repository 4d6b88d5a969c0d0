"""Encoders: networks that turn an image into feature maps at several strides."""

from figureground.networks.encoders.timm_encoder import TimmEncoder

__all__ = ["TimmEncoder"]
