"""The pages about one run, and what may be done there: to read, and to ask the run to stop."""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from workflows.clusters.standing import standing
from workflows.clusters.stopping import ask_to_stop
from workflows.live.overview import Links, clock, found_of, overview
from workflows.live.renewal import Edition, OncePerCommit, Report
from workflows.results.report.markup import Markup, element
from workflows.results.report.page import document, renewed

SOON = 3
"""Seconds to the next look while the first report is being made."""
REPORT_SECONDS = 30
"""From one look at the report to the next: making it takes seconds, of which the run should keep most."""


class Answer(NamedTuple):
    """What is answered.

    status: of HTTP.
    text: a page.
    headers: that only this answer has.
    """

    status: HTTPStatus
    text: str
    headers: Mapping[str, str] = {}


def problem(status: HTTPStatus, message: str, every: int | None = None) -> Answer:
    """A page that says what is wrong, and is looked at anew after so many seconds."""
    text = document(f"{status.value} {status.phrase}", element("p", message), Markup(""))
    return Answer(status, renewed(text, every))


class Pages:
    """The pages about the store at a path. All of them ask for the key that is part of the address that was printed:
    others who are logged in to the machine reach its ports too, and so do pages of elsewhere in a browser."""

    def __init__(self, store: Path, report: Report, key: str = "") -> None:
        self._store, self._report = store, report
        self._key = key or secrets.token_urlsafe(24)
        self._found = OncePerCommit(store, found_of)

    def address(self, path: str = "./", **more: str) -> str:
        """The address of a page, with the key, relative to every page."""
        return f"{path}?{urlencode({'key': self._key, **more})}"

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """A page. Raises StoreError where the store cannot be read."""
        if (refused := self._refused(query)) is not None:
            return refused
        if path == "/":
            links = Links(self.address(), self.address("report"), "stop", self._key)
            return Answer(HTTPStatus.OK, overview(standing(self._store), self._found(), links))
        if path == "/report":
            return self._report_page(is_held="hold" in query)
        if path == "/stop":
            only = problem(HTTPStatus.METHOD_NOT_ALLOWED, "A run is stopped by the button on its page.")
            return only._replace(headers={"Allow": "POST"})
        return self._nothing_there()

    def post(self, path: str, form: Mapping[str, str]) -> Answer:
        """Do something: ask the run to stop, and lead back. Raises StoreError where the store cannot be written."""
        if (refused := self._refused(form)) is not None:
            return refused
        if path != "/stop":
            return self._nothing_there()
        said = ask_to_stop(self._store)
        text = document("Asked to stop", element("p", said), element("a", "Back", href=self.address()))
        return Answer(HTTPStatus.SEE_OTHER, text, {"Location": self.address()})

    def _refused(self, given: Mapping[str, str]) -> Answer | None:
        if secrets.compare_digest(given.get("key", "").encode("utf-8", "replace"), self._key.encode()):
            return None
        return problem(
            HTTPStatus.FORBIDDEN, "The key is missing or wrong: open the address that `maxwell report --serve` printed."
        )

    def _nothing_there(self) -> Answer:
        return problem(HTTPStatus.NOT_FOUND, "There is no such page: there are / and /report.")

    def _report_page(self, *, is_held: bool) -> Answer:
        edition = self._report.latest()
        goes_on = edition.is_renewed or edition.problem is not None or not standing(self._store).ended
        every = REPORT_SECONDS if goes_on and not is_held else None
        note = element("aside", *self._note(edition, every))
        if edition.text is not None:
            return Answer(HTTPStatus.OK, renewed(edition.text, every, note))
        is_first = edition.problem is None
        title = "The report is being made" if is_first else "The report could not be made"
        status = HTTPStatus.OK if is_first else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, renewed(document(title, note, Markup("")), SOON if is_first else every))

    def _note(self, edition: Edition, every: int | None) -> list[object]:
        """What is above a report: of when it is, what comes, and where to go."""
        parts: list[object] = []
        if edition.text is not None:
            parts.append(f"As of the commit of {clock(edition.committed)}. ")
        if edition.problem is not None:
            which = "It" if edition.text is None else "A newer one"
            parts.append(f"{which} could not be made: {edition.problem}. It is tried again. ")
        elif edition.is_renewed:
            parts.append("The report is being made, which takes some seconds. ")
        parts.append(element("a", "How far the run is", href=self.address()))
        if every:
            parts += [" · ", element("a", "Hold this page", href=self.address("report", hold="yes"))]
        return [*parts, " · ", element("a", "Look again", href=self.address("report"))]
