"""Fetching one image from an address, with a limit on size and on patience."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

from figureground.errors import SourceError

LARGEST = 200_000_000
PATIENCE = 30.0


def download(address: str, *, largest: int = LARGEST, patience: float = PATIENCE) -> bytes:
    """The bytes behind an http(s) address.

    Args:
        address: starts with http:// or https://.
        largest: refuse more than this many bytes.
        patience: give up when the server is silent for this many seconds.

    Raises:
        SourceError: another kind of address, no such host or file, silence, or too many bytes.
    """
    if not address.lower().startswith(("http://", "https://")):
        raise SourceError(f"not a web address: {address}", remedy="addresses start with http:// or https://")
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "figureground"})  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=patience) as answer:  # noqa: S310 - checked above
            data: bytes = answer.read(largest + 1)
    except urllib.error.HTTPError as error:
        raise SourceError(f"cannot fetch {address}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"cannot fetch {address}: {reason}", remedy="check the address and the connection") from error
    if len(data) > largest:
        raise SourceError(f"{address} is larger than {largest // 1_000_000} MB", remedy="download and shrink it first")
    return data
