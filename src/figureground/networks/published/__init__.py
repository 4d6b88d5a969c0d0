"""Published checkpoints of other libraries in our networks.

`load_published` takes a safetensors file, a folder or a repository of the hub. Each network knows the names of the
libraries that publish it (``load_published`` of its class); the tables are in this folder and in ``encoders``.
"""

from figureground.networks.published.load import load_published

__all__ = ["load_published"]
