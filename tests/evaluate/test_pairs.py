"""Photos and masks are matched by stem, and whatever is wrong with a dataset is said by name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from figureground.errors import DataError, UnreadableImageError
from figureground.evaluate import find_pairs, find_photos_without_people, read_mask


def test_pairs_are_found_below_too(dataset):
    pairs = find_pairs(dataset)
    assert [pair.stem for pair in pairs] == ["good", "half", "invented", "nobody", "street/good"]
    assert pairs[4].image == dataset / "images" / "street" / "good.png"
    assert pairs[4].mask == dataset / "masks" / "street" / "good.png"


def test_part_maps_are_taken_where_there_are_no_masks(dataset):
    (dataset / "masks").rename(dataset / "parts")
    assert find_pairs(dataset)[0].mask == dataset / "parts" / "good.png"


def test_the_folders_may_have_other_names(dataset):
    (dataset / "masks").rename(dataset / "truth")
    (dataset / "images").rename(dataset / "photos")
    assert len(find_pairs(dataset, images="photos", masks="truth")) == 5


def test_photos_without_people(dataset):
    for root in (dataset, dataset / "images"):
        pairs = find_photos_without_people(root)
        assert [pair.mask for pair in pairs] == [None] * 5


def remove_mask(root):
    (root / "masks" / "half.png").unlink()
    return "half.png"


def remove_masks(root):
    (root / "masks").rename(root / "mask")
    return "did you mean 'mask'?"


def remove_images(root):
    (root / "images").rename(root / "elsewhere")
    return "no folder 'images'"


def empty_images(root):
    (root / "images").rename(root / "elsewhere")
    (root / "images").mkdir()
    return "no images in"


def same_stem_twice(root):
    as_jpg = root / "images" / "half.jpg"
    Image.new("RGB", (128, 64)).save(as_jpg)
    return "half.jpg"


def lossy_mask(root):
    (root / "masks" / "half.png").rename(root / "masks" / "half.jpg")
    return "lossy"


@pytest.mark.parametrize(
    "spoil",
    [remove_mask, remove_masks, remove_images, empty_images, same_stem_twice, lossy_mask],
    ids=lambda spoil: spoil.__name__,
)
def test_a_spoilt_dataset(dataset, spoil):
    said = spoil(dataset)
    with pytest.raises(DataError) as caught:
        find_pairs(dataset)
    assert said in str(caught.value)


def test_a_missing_dataset(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_pairs(tmp_path / "none")


INDEX = np.array([[0, 1, 2], [6, 0, 255]], dtype=np.uint8)


def palette(index):
    image = Image.fromarray(index).convert("P")
    image.putdata(index.ravel().tolist())
    image.putpalette([9, 9, 9] + [0, 0, 0] * 255)  # zero is drawn grey and everything else black
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(INDEX),
        palette(INDEX),
        Image.fromarray(INDEX != 0),
        Image.fromarray(INDEX.astype(np.uint16)),
        Image.fromarray(np.stack([INDEX * 0, INDEX, INDEX * 0], axis=-1)),
        Image.fromarray(np.stack([INDEX, np.full_like(INDEX, 255)], axis=-1), "LA"),
        Image.fromarray(np.stack([INDEX, INDEX, INDEX, np.full_like(INDEX, 255)], axis=-1)),
    ],
    ids=["L", "P", "1", "I;16", "RGB", "LA", "RGBA"],
)
def test_any_value_but_zero_is_person(tmp_path, image):
    image.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), INDEX != 0)


def test_masks_that_cannot_be_read(tmp_path):
    (tmp_path / "text.png").write_text("no")
    with pytest.raises(UnreadableImageError, match=r"text\.png"):
        read_mask(tmp_path / "text.png")
    with pytest.raises(DataError, match=r"none\.png"):
        read_mask(tmp_path / "none.png")
