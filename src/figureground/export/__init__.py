"""Export: a trained network becomes a bundle, with a parity report."""

from figureground.export.compress import Storage, compress
from figureground.export.inference import export_inference
from figureground.export.onnx_model import to_onnx
from figureground.export.parity import Parity, compare
from figureground.export.predictor import export_predictor
from figureground.export.run import export_run

__all__ = [
    "Parity",
    "Storage",
    "compare",
    "compress",
    "export_inference",
    "export_predictor",
    "export_run",
    "to_onnx",
]
