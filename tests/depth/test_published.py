"""Models of transformers as estimators: tiny ones with random weights, from local folders, against themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from figureground.depth.opening import open_transformers
from figureground.depth.published import published
from figureground.errors import NetworkError
from figureground.images import normalised_depth

transformers = pytest.importorskip("transformers")


def dpt():
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=8,
        )
    )


def depth_anything():
    backbone = transformers.Dinov2Config(
        hidden_size=12,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    return transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=12,
            neck_hidden_sizes=[8, 8, 12, 12],
            fusion_hidden_size=8,
            head_in_channels=8,
            head_hidden_size=8,
            depth_estimation_type="metric",
            max_depth=20,
        )
    )


PROCESSOR = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4], "size": {"height": 28, "width": 42}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function: what makes a model -> its folder and itself."""

    def save(make, processor=None):
        torch.manual_seed(0)
        folder, model = tmp_path_factory.mktemp("models") / make.__name__, make().eval()
        model.save_pretrained(folder)
        if processor is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        return folder, model

    return save


def as_by_hand(model, picture, size, mean, std, values):
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    x = F.interpolate(x, size, mode="bicubic", align_corners=False) / 255
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (mean, std))
    with torch.no_grad():
        said = model(pixel_values=(x - mean) / std).predicted_depth[None]
    said = 1 / said.clamp(min=1e-6) if values == "distance" else said
    nearness = F.interpolate(said, picture.shape[:2], mode="bicubic", align_corners=False)[0, 0].double().numpy()
    spread = np.ptp(nearness)
    return normalised_depth(((nearness - nearness.min()) / spread + 1).astype(np.float32), "inverse")


def test_dpt_by_its_folder(saved, picture, tmp_path, monkeypatch):
    folder, model = saved(dpt)
    estimator = open_transformers(str(folder), kept=tmp_path / "kept")
    assert estimator.name == "dpt"
    assert len(estimator.sha256) == 64
    half = (0.5, 0.5, 0.5)
    wanted = as_by_hand(model, picture, (32, 32), half, half, "inverse")
    np.testing.assert_allclose(estimator(picture), wanted, atol=5e-3)
    monkeypatch.setattr("figureground.depth.published._export", lambda *_: pytest.fail("exported again"))
    assert open_transformers(str(folder), kept=tmp_path / "kept").fingerprint == estimator.fingerprint


def test_depth_anything_says_what_its_files_say(saved, picture, tmp_path):
    folder, _ = saved(depth_anything, PROCESSOR)
    found = published(str(folder), None, tmp_path)  # compares the export with the model itself
    assert found.look.size == (28, 42)
    assert found.look.values == "distance"
    assert found.look.mean == tuple(PROCESSOR["image_mean"])
    estimator = open_transformers(str(folder), kept=tmp_path)
    assert estimator.name == "depth_anything"
    assert estimator(picture).shape == picture.shape[:2]


def test_what_is_no_model(tmp_path, saved, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NetworkError, match=r"cannot read .*config\.json"):
        open_transformers(str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(NetworkError, match=r"no \.safetensors file"):
        open_transformers(str(tmp_path / "empty"))
    (tmp_path / "empty" / "model.safetensors").write_bytes(b"")
    with pytest.raises(NetworkError, match="holds no depth-estimation model"):
        open_transformers(str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    with pytest.raises(NetworkError, match="no folder 'nobody/nothing', and no model of that name from the hub: off"):
        open_transformers("nobody/nothing")


def test_a_size_that_a_model_does_not_take(saved):
    folder, _ = saved(depth_anything, PROCESSOR)
    with pytest.raises(NetworkError, match=r"estimator\.size"):
        open_transformers(str(folder), size=(5, 5))
