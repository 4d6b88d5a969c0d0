"""Depth from one picture: estimators as ONNX graphs, and a cache of what they say."""
