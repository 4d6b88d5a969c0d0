"""Fetching an image from the web: http and https only, with limits on size and time."""

from __future__ import annotations

import re
import time
import urllib.parse
from typing import TYPE_CHECKING

from figureground.errors import SourceError

# The http modules are slow to import, and most runs fetch nothing.
if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

__all__ = ["fetch", "is_url"]

_CHUNK_BYTES = 1 << 16
_URL = re.compile(r"https?://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Say whether the text is an http or https address rather than a path."""
    return _URL.match(text) is not None


def fetch(url: str, *, max_bytes: int = 100_000_000, timeout: float = 30.0) -> bytes:
    """Return the bytes behind an http or https address.

    Args:
        url: the address. Redirects are followed, to http and https only.
        max_bytes: give up on anything larger.
        timeout: seconds, for the whole transfer.

    Raises:
        SourceError: not such an address, no answer, an answer other than success, too large, too slow, or cut short.
    """
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    if not is_url(url):
        raise SourceError(f"'{url}' is not an address to fetch", remedy="it must start with http:// or https://")
    name = f"'{_shown(url)}'"
    headers = {"User-Agent": "figureground", "Accept": "image/*,*/*;q=0.5"}
    try:
        request = urllib.request.Request(_quoted(url), headers=headers)  # noqa: S310 is_url was asked above
        deadline = time.monotonic() + timeout
        with _opener().open(request, timeout=timeout) as response:
            return _body(response, name, max_bytes, deadline)
    except urllib.error.HTTPError as error:
        with error:
            raise SourceError(f"{name}: the server answered {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise SourceError(f"{name}: no answer within {timeout:g} seconds") from error
    except urllib.error.URLError as error:
        raise SourceError(f"cannot fetch {name}: {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise SourceError(f"cannot fetch {name}: {error or type(error).__name__}") from error


def _opener() -> OpenerDirector:
    # Not urlopen: its opener also reads local files and ftp, which a redirect from a stranger could ask for.
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _body(response: HTTPResponse, name: str, max_bytes: int, deadline: float) -> bytes:
    announced = response.length
    too_large = f"{name} is larger than the limit of {max_bytes / 1e6:g} MB"
    if announced is not None and announced > max_bytes:
        raise SourceError(too_large)
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise SourceError(too_large)
        if time.monotonic() > deadline:
            raise TimeoutError
    if announced is not None and len(body) < announced:
        raise SourceError(f"{name}: the connection ended after {len(body)} of {announced} bytes")
    return bytes(body)


def _quoted(url: str) -> str:
    # Addresses copied from a browser hold letters and spaces that may not be sent as they are.
    return urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def _shown(url: str) -> str:
    """Leave out what may be secret (user, password, query) before an address goes into a message."""
    host_and_path = url.split("?", 1)[0].split("#", 1)[0]
    scheme, _, rest = host_and_path.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
