"""Fetching over http, from a server on this machine."""

import http.server
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from figureground import images
from figureground.errors import SourceError

BODY = images.encode(np.full((9, 12, 3), 70, dtype=np.uint8), "png")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        getattr(self, f"serve_{self.path.strip('/').split('?')[0].replace('-', '_')}", self.serve_missing)()

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def serve_photo(self):
        self.answer(200, BODY, Content_Length=str(len(BODY)))

    def serve_unannounced(self):
        self.answer(200, BODY, Connection="close")

    def serve_chunked(self):
        self.answer(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), Transfer_Encoding="chunked")

    def serve_chunked_cut(self):
        self.answer(200, b"%x\r\n%s" % (len(BODY) + 9, BODY), Transfer_Encoding="chunked")

    def serve_redirect(self):
        self.answer(302, Location="/photo", Content_Length="0")

    def serve_redirect_file(self):
        self.answer(302, Location="file:///etc/hostname", Content_Length="0")

    def serve_redirect_ftp(self):
        self.answer(302, Location="ftp://127.0.0.1/x", Content_Length="0")

    def serve_loop(self):
        self.answer(302, Location="/loop", Content_Length="0")

    def serve_cut(self):
        self.answer(200, BODY[:20], Content_Length=str(len(BODY)))

    def serve_slow(self):
        self.send_response(200)
        self.end_headers()
        for _ in range(40):
            self.wfile.write(b"x")
            time.sleep(0.02)
        self.close_connection = True

    def serve_silent(self):
        time.sleep(0.5)
        self.close_connection = True

    def serve_missing(self):
        self.answer(404, b"no", Content_Length="2")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def base():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_args: None
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("page", ["photo", "unannounced", "chunked", "redirect", "photo?size=grün groß#part"])
def test_fetch(base, page):
    data = images.fetch(f"{base}/{page}")
    assert data == BODY
    assert images.read(data).shape == (9, 12, 3)


def test_exactly_the_limit_is_allowed(base):
    assert images.fetch(f"{base}/unannounced", max_bytes=len(BODY)) == BODY


@pytest.mark.parametrize(
    ("page", "words", "options"),
    [
        ("missing", "the server answered 404 Not Found", {}),
        ("photo", "larger than the limit of", {"max_bytes": len(BODY) - 1}),
        ("unannounced", "larger than the limit of 4e-05 MB", {"max_bytes": 40}),
        ("chunked", "larger than the limit of", {"max_bytes": 40}),
        ("cut", f"the connection ended after 20 of {len(BODY)} bytes", {}),
        ("chunked-cut", "cannot fetch", {}),
        ("redirect-file", "redirect", {}),
        ("redirect-ftp", "unknown url type: ftp", {}),
        ("loop", "infinite loop", {}),
        ("slow", "within 0.2 seconds", {"timeout": 0.2}),
        ("silent", "within 0.1 seconds", {"timeout": 0.1}),
    ],
)
def test_failures_name_the_address_in_one_line(base, page, words, options):
    with pytest.raises(SourceError, match=words) as caught:
        images.fetch(f"{base}/{page}", **options)
    assert f"{base}/{page}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:image/png;base64,A", "a.jpg", ""])
def test_other_schemes_are_refused(url):
    assert not images.is_url(url)
    with pytest.raises(SourceError, match="must start with http"):
        images.fetch(url)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "", "[::1", "a:b", "127.0.0.1:99999", "x..y", "a" * 99])
def test_unreachable_addresses(host):
    with pytest.raises(SourceError, match="cannot fetch"):
        images.fetch(f"http://{host}/x", timeout=2)


def test_secrets_stay_out_of_messages():
    with pytest.raises(SourceError) as caught:
        images.fetch("http://user:secret@127.0.0.1:1/photo.jpg?token=secret", timeout=2)
    assert "http://127.0.0.1:1/photo.jpg" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_reading_a_file_does_not_load_the_http_modules():
    code = "import sys, figureground.images; print(sorted({'http.client', 'ssl', 'urllib.request'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
