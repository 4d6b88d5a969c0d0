"""``python -m figureground``: the same as the ``figureground`` command."""

from __future__ import annotations

import sys

from figureground.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
