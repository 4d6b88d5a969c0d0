"""What `import figureground` offers, and what it leaves unloaded."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import figureground as fg

ROOT = Path(__file__).parent.parent
PUBLIC = {
    "Bundle",
    "Ensemble",
    "FiguregroundError",
    "Label",
    "LabelTree",
    "Part",
    "PeopleFirst",
    "Refined",
    "Segmentation",
    "Segmenter",
    "Tiled",
    "View",
    "WithDepth",
    "__version__",
    "augmented",
    "load",
    "parse",
    "read",
    "save_predictor",
    "segment",
    "shipped",
}


def fresh(code):
    """What `code` prints in an interpreter of its own."""
    search = [str(Path(fg.__file__).parent.parent), *sys.path]
    program = f"import sys; sys.path[:0] = {search!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_public_names():
    assert set(fg.__all__) == PUBLIC
    assert set(dir(fg)) == PUBLIC
    for name in fg.__all__:
        assert getattr(fg, name).__doc__


def test_a_name_is_the_same_object_at_home():
    from figureground.runtime.segmenter import Segmenter

    assert fg.Segmenter is Segmenter


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="people"):
        _ = fg.people


def test_the_version_is_the_one_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert fg.__version__ == project["version"]


def test_the_import_loads_nothing_heavy():
    heavy = ("numpy", "PIL", "onnxruntime", "torch", "torchvision", "onnx", "typer", "yaml")
    assert fresh(f"import figureground; print([m for m in {heavy!r} if m in sys.modules])") == "[]"


def test_a_prediction_loads_no_training_library(tmp_path):
    bundle = tmp_path / "b.onnx"
    make_bundle(bundle)
    code = f"""
import numpy as np, figureground as fg
result = fg.load({str(bundle)!r})(np.zeros((20, 30, 3), np.uint8))
result.cutout(), result.overlay(), result.blur_background(), result.side_by_side()
heavy = ("torch", "torchvision", "lightning", "timm", "onnx", "pydantic", "scipy", "yaml")
print(result.is_empty, [m for m in heavy if m in sys.modules])
"""
    assert fresh(code) == "True []"


def make_bundle(path):
    """A network that calls every pixel background: logit = -1."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["most"], axes=[3], keepdims=0),
        helper.make_node("Unsqueeze", ["most", "one"], ["map"]),
        helper.make_node("Mul", ["map", "zero"], ["nothing"]),
        helper.make_node("Sub", ["nothing", "gain"], ["logits"]),
    ]
    import numpy as np

    constants = {"one": np.array([1]), "zero": np.float32([0]), "gain": np.float32([1])}
    graph = helper.make_graph(
        nodes,
        "nothing",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    from figureground.runtime.sizing import Sizing

    fg.Bundle.create(
        model.SerializeToString(), name="b", labels=fg.LabelTree.person(), sizing=Sizing(4096), threshold=0.5, card={}
    ).save(path)
