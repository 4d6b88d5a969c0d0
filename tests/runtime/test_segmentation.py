import numpy as np
import pytest
from PIL import Image

from figureground.errors import FiguregroundError, LabelError, OutputError
from figureground.runtime.segmentation import PICTURES


def test_a_half_bright_photo(segmenter, half_bright):
    photo = half_bright(120, 160)
    result = segmenter(photo)
    assert result.size == result.mask.shape == result.alpha.shape == (120, 160)
    assert result.mask.dtype == bool
    assert result.alpha.dtype == np.float32
    assert not result.is_empty
    expected = photo[..., 0] > 0
    far_from_the_edge = np.ones(160, bool)
    far_from_the_edge[76:84] = False
    np.testing.assert_array_equal(result.mask[:, far_from_the_edge], expected[:, far_from_the_edge])
    np.testing.assert_array_equal(result.mask, result.alpha >= 0.5)
    np.testing.assert_array_equal(result.mask, result.probabilities[0] >= result.threshold)
    np.testing.assert_allclose(result.alpha, (2 * result.probabilities[0] - 0.5).clip(0, 1), atol=1e-6)
    np.testing.assert_array_equal(result.parts("person"), result.mask)
    np.testing.assert_array_equal(result.level(0), result.mask)
    assert result.elapsed > 0
    assert result.path is None


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (17, 31)])
@pytest.mark.parametrize("value", [0, 255])
def test_extreme_sizes(segmenter, size, value):
    result = segmenter(np.full((*size, 3), value, np.uint8))
    assert result.mask.shape == size
    assert result.mask.all() == (value == 255)
    assert result.is_empty == (value == 0)
    assert result.cutout().size == size[::-1]


def test_an_empty_scene_shows_no_figure(segmenter):
    photo = np.full((40, 50, 3), 126, np.uint8)  # the probability is 0.32 everywhere
    result = segmenter(photo)
    assert result.is_empty
    assert not result.mask.any()
    assert result.probabilities.min() > 0.3
    assert not result.alpha.any()
    assert not np.asarray(result.cutout())[..., 3].any()
    np.testing.assert_array_equal(np.asarray(result.replace_background("lime")), np.full_like(photo, (0, 255, 0)))
    assert not segmenter(photo, threshold=0.25).is_empty


@pytest.mark.parametrize("threshold", [0, 1, -1, 7, float("nan")])
def test_a_threshold_out_of_range(segmenter, half_bright, threshold):
    with pytest.raises(FiguregroundError, match="threshold"):
        segmenter(half_bright(8, 8), threshold=threshold)


class TestTree:
    @pytest.fixture
    def result(self, color_segmenter):
        photo = np.zeros((64, 64, 3), np.uint8)
        photo[:32, :32] = (255, 0, 0)
        photo[:32, 32:] = (0, 255, 0)
        photo[32:, :32] = (0, 0, 255)
        return color_segmenter(photo)

    def test_nodes_add_up(self, result):
        p = dict(zip(result.labels.names, result.probabilities, strict=True))
        np.testing.assert_allclose(p["upper"], p["red"] + p["green"], atol=1e-6)
        np.testing.assert_allclose(p["body"], p["upper"] + p["blue"], atol=1e-6)
        np.testing.assert_allclose(result.alpha, (2 * p["body"] - 0.5).clip(0, 1), atol=1e-6)

    def test_parts_cover_their_quarters(self, result):
        quarters = {"red": (0, 0), "green": (0, 32), "blue": (32, 0)}
        for name, (top, left) in quarters.items():
            expected = np.zeros((64, 64), bool)
            expected[top : top + 32, left : left + 32] = True
            np.testing.assert_array_equal(result.parts(name), expected)
        np.testing.assert_array_equal(result.parts("upper"), result.parts("red") | result.parts("green"))
        np.testing.assert_array_equal(result.parts("body"), result.mask)

    def test_levels_never_contradict_one_another(self, color_segmenter):
        rng = np.random.default_rng(0)
        result = color_segmenter(rng.integers(100, 156, (30, 40, 3), np.uint8), threshold=0.4)
        names = [[None] + [node.name for node in result.labels.level(d)] for d in range(result.labels.depth)]
        levels = [result.level(d) for d in range(result.labels.depth)]
        np.testing.assert_array_equal(levels[0] > 0, result.mask)
        for upper, lower, above, below in zip(levels, levels[1:], names, names[1:], strict=False):
            for u, v in set(zip(upper.ravel().tolist(), lower.ravel().tolist(), strict=True)):
                line = [] if v == 0 else [below[v], *(label.name for label in result.labels.ancestors(below[v]))]
                assert above[u] in line if u else v == 0

    def test_unknown_label_and_level(self, result):
        with pytest.raises(LabelError, match="upper"):
            result.parts("uper")
        with pytest.raises(LabelError, match="level"):
            result.level(3)


class TestPictures:
    @pytest.mark.parametrize("kind", PICTURES)
    def test_every_kind_is_drawn_and_saved(self, segmenter, half_bright, tmp_path, kind):
        result = segmenter(half_bright(48, 64))
        picture = result.picture(kind)
        for suffix in (".png", ".jpg", ".webp"):
            target = tmp_path / f"a{suffix}"
            result.save(target, as_=kind)
            with Image.open(target) as written:
                assert written.size == picture.size
        if kind != "side-by-side":
            assert picture.size == (64, 48)

    def test_mask_and_alpha_are_grey(self, segmenter, half_bright):
        result = segmenter(half_bright(48, 64))
        np.testing.assert_array_equal(np.asarray(result.picture("mask")), result.mask * np.uint8(255))
        np.testing.assert_allclose(np.asarray(result.picture("alpha")) / 255, result.alpha, atol=0.5 / 255 + 1e-6)

    def test_a_cutout_in_a_jpeg_lies_on_white(self, segmenter, half_bright, tmp_path):
        half_blue = half_bright(48, 64) // 255 * np.array([255, 255, 255], np.uint8)
        half_blue[:, 32:] = (0, 0, 120)
        segmenter(half_blue).save(tmp_path / "a.jpg")
        with Image.open(tmp_path / "a.jpg") as written:
            assert written.mode == "RGB"
            assert min(written.getpixel((60, 20))) > 245

    def test_an_unknown_kind_suggests(self, segmenter, half_bright, tmp_path):
        with pytest.raises(OutputError, match="cutout"):
            segmenter(half_bright(8, 8)).save(tmp_path / "a.png", as_="cutuot")
        assert not list(tmp_path.iterdir())

    def test_backgrounds(self, segmenter, half_bright, tmp_path):
        result = segmenter(half_bright(48, 64))
        Image.new("RGB", (10, 10), (10, 20, 30)).save(tmp_path / "sea.png")
        for background in ("#0a141e", (10, 20, 30), str(tmp_path / "sea.png"), Image.new("RGB", (9, 5), "#0a141e")):
            drawn = np.asarray(result.replace_background(background))
            assert drawn.shape == (48, 64, 3)
            np.testing.assert_array_equal(drawn[:, -5:], np.broadcast_to([10, 20, 30], (48, 5, 3)))
        with pytest.raises(FiguregroundError):
            result.replace_background("no-such-colour")


def test_a_mask_never_decodes_the_full_photo(segmenter, half_bright, tmp_path):
    Image.fromarray(half_bright(960, 1280)).save(tmp_path / "a.jpg")
    result = segmenter(tmp_path / "a.jpg")
    result.save(tmp_path / "mask.png", as_="mask")
    assert result._photo._pixels is None
    with Image.open(tmp_path / "mask.png") as written:
        assert written.size == (1280, 960)
    assert result.photo.shape == (960, 1280, 3)
    full = segmenter(result.photo)
    assert (full.mask != result.mask).mean() < 0.01
