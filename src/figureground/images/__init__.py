"""Images in, images out: safe reading, resizing and its inverse, atomic writing.

In memory an image is a uint8 array (H, W, 3), RGB, the way a viewer shows it.
"""

from figureground.images.depth import (
    DEPTH_CLIP,
    DEPTH_FLAT,
    DEPTH_SUFFIXES,
    DepthMap,
    DepthValues,
    depth_size,
    find_depth_map,
    normalised_depth,
    read_depth,
)
from figureground.images.fetching import fetch, is_url
from figureground.images.formats import IMAGE_SUFFIXES, is_image_path
from figureground.images.masks import check_lossless, is_lossy, read_stored
from figureground.images.reading import MAX_PIXELS, Source, read, size
from figureground.images.resizing import resize, resize_map
from figureground.images.rle import mask_from_coco, mask_from_rle, mask_to_rle
from figureground.images.writing import encode, make_folder, write, write_bytes

__all__ = [
    "DEPTH_CLIP",
    "DEPTH_FLAT",
    "DEPTH_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "DepthMap",
    "DepthValues",
    "Source",
    "check_lossless",
    "depth_size",
    "encode",
    "fetch",
    "find_depth_map",
    "is_image_path",
    "is_lossy",
    "is_url",
    "make_folder",
    "mask_from_coco",
    "mask_from_rle",
    "mask_to_rle",
    "normalised_depth",
    "read",
    "read_depth",
    "read_stored",
    "resize",
    "resize_map",
    "size",
    "write",
    "write_bytes",
]
