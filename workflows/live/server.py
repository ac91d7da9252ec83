"""The pages over HTTP, on the loopback interface alone."""

import errno
import socketserver
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ensemble.errors import MaxwellError
from workflows.clusters.standing import standing
from workflows.live.overview import SECONDS
from workflows.live.pages import Answer, Pages, problem
from workflows.live.rendering import Renderer
from workflows.live.renewal import Report

LOOPBACK = "127.0.0.1"
NAMES = {LOOPBACK, "localhost", "::1"}
"""How this machine calls itself in the address of a page. A page of elsewhere whose name leads to this machine (DNS
rebinding) is told apart by it; behind an ssh tunnel the port may be another one."""
LONGEST = 1000
"""Bytes of a form at most."""
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    # The page needs nothing else, and browsers are to see to it.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


NOT_MEANT = problem(HTTPStatus.FORBIDDEN, f"This page is that of {LOOPBACK} or localhost, and of no other name.")


class ServingError(MaxwellError):
    """The page cannot be served where it was asked for."""


class Server(socketserver.ThreadingTCPServer):
    """Answers every request in a thread of its own. Names are never looked up, as http.server.HTTPServer does."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, pages: Pages) -> None:
        """port: 0 for one that is free. Raises ServingError where it is taken."""
        self.pages = pages
        try:
            super().__init__((LOOPBACK, port), Handler)
        except OSError as error:
            why = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
            raise ServingError(
                f"cannot serve on port {port}: {why}. Name another, as in --serve {_another(port)}, or 0 for one that "
                "is free"
            ) from error

    @property
    def address(self) -> str:
        """Of the first page."""
        return f"http://{LOOPBACK}:{self.server_address[1]}{self.pages.address('/')}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who is gone is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version, sys_version = "maxwell", ""
    timeout = 30
    """Seconds for which a connection may say nothing."""

    def do_GET(self) -> None:
        """A page."""
        self._answer(self._page)

    def do_HEAD(self) -> None:
        """A page's headers."""
        self._answer(self._page)

    def do_POST(self) -> None:
        """A form."""
        self._answer(self._form)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the user's."""

    def _page(self) -> Answer:
        path, _, query = self.path.partition("?")
        return self.server.pages.get(path, _fields(query))

    def _form(self) -> Answer:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return problem(HTTPStatus.LENGTH_REQUIRED, "A form says how long it is.")
        if int(length) > LONGEST:
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form of this page has at most {LONGEST} bytes.")
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        return self.server.pages.post(self.path.partition("?")[0], _fields(body))

    def _answer(self, ask: Callable[[], Answer]) -> None:
        # What a form led to is not looked at again: that would be another form.
        every = None if self.command == "POST" else SECONDS
        try:
            answer = ask() if self._is_meant() else NOT_MEANT
        except MaxwellError as error:
            answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), every)
        except Exception as error:  # noqa: BLE001 - told on the page; the server goes on
            answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}", every)
        # Paths may have bytes that are no text.
        body = answer.text.encode("utf-8", "backslashreplace")
        self.send_response(answer.status)
        for name, value in {**HEADERS, **answer.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _is_meant(self) -> bool:
        """Whether the request is to this machine by one of its own names."""
        hosts = self.headers.get_all("Host", [])
        try:
            return len(hosts) == 1 and urlsplit(f"//{hosts[0]}").hostname in NAMES
        except ValueError:
            return False


def serve(store: str | Path, port: int, say: Callable[[str], None]) -> None:
    """Serve the pages about a store until interrupted.

    port: 0 for one that is free. say: told the address once it is served. Raises StoreError where there is no store
    that can be read, ServingError where the port is taken.
    """
    path, renderer = Path(store), Renderer()
    standing(path)
    with Server(port, Pages(path, Report(path, renderer))) as server:
        say(f"{server.address}\nThe page of {path}, on this machine alone and for who has the address; Ctrl-C ends it.")
        try:
            server.serve_forever()
        finally:
            renderer.close()


def _fields(text: str) -> dict[str, str]:
    """Of a query or a form."""
    return dict(parse_qsl(text, keep_blank_values=True))


def _another(port: int) -> int:
    return port + 1 if port < 65535 else port - 1
