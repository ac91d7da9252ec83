"""The page that follows a run, by real HTTP on the loopback interface."""

import http.client
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import Request, urlopen

import pytest

import maxwell
from ensemble.store import opening as stores
from tests.support.html_checker import OWN, Page
from tests.support.runs import SETTINGS, EveryRound
from tests.workflows.live.test_renewal import Rendered, commit
from workflows.live.pages import REPORT_SECONDS, SOON, Pages
from workflows.live.renewal import Report
from workflows.live.server import Server

KEY = "the key of the page"
WHOLE: dict[str, Any] = {**SETTINGS, "tempering": {}}
DOCUMENT = "<!DOCTYPE html>\n<html>\n<head>\n<title>x</title>\n</head>\n<body>\n<p>{}</p>\n</body>\n</html>\n"


class Reply(NamedTuple):
    """Status, headers and the parsed page of an answer, and its address after all that it led on to."""

    status: int
    headers: Any
    page: Page
    address: str


class Rendering(Rendered):
    """Makes small documents."""

    def __call__(self, store: Path) -> str:
        return DOCUMENT.format(super().__call__(store))


class Visitor:
    """A browser without scripts: opens addresses, follows links, presses buttons."""

    def __init__(self, server: Server) -> None:
        self.address = server.address
        self.port = int(server.server_address[1])

    def open(self, address: str = "", form: dict[str, str] | None = None, **headers: str) -> Reply:
        data = None if form is None else urlencode(form).encode()
        asked = Request(urljoin(self.address, address or self.address), data, headers)
        try:
            with urlopen(asked, timeout=60) as answer:
                return self._reply(answer)
        except HTTPError as error:
            with error:
                return self._reply(error)

    def _reply(self, answer: Any) -> Reply:
        page = Page(answer.read().decode(), (*OWN, "./?", "report?", "stop"))
        assert page.problems == []
        assert "script" not in page.tags
        return Reply(answer.status, answer.headers, page, answer.url)

    def follow(self, reply: Reply, beginning: str) -> Reply:
        """Follow the link of a page whose address begins so."""
        (found,) = {link for link in reply.page.links if link.startswith(beginning)}
        return self.open(urljoin(reply.address, found))

    def press(self, reply: Reply) -> Reply:
        """Press the only button of a page."""
        (action,) = reply.page.forms
        return self.open(urljoin(reply.address, action), reply.page.fields)

    def status(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Status and text of a request that no browser makes. headers: with _ for -, Host instead of the real one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in named)
        for name, value in named.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found


@contextmanager
def served(
    store: Path, render: Callable[[Path], str], background: Callable[[Callable[[], None]], None] = lambda work: work()
) -> Iterator[Visitor]:
    """Somebody who visits the pages of a store, whose reports are made while they are asked for."""
    with Server(0, Pages(store, Report(store, render, background), KEY)) as server:
        assert server.server_address[0] == "127.0.0.1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Visitor(server)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose run has reached its limit of sweeps, in stage sample, with its goals looked at."""
    out = tmp_path_factory.mktemp("begun") / "run.zarr"
    return maxwell.run(WHOLE, ["limits.sweeps=60"], out=out, local=True, progress=False).path


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "<b>run & 'more.zarr"))


@pytest.fixture
def visitor(store: Path) -> Iterator[Visitor]:
    with served(store, Rendering()) as found:
        yield found


def test_the_page_of_a_run_at_its_limit(visitor: Visitor, store: Path) -> None:
    reply = visitor.open()
    summary = maxwell.open_run(store).summary()
    assert summary["ess_online_min"] is not None
    for part in (
        str(store),
        "at its limit, in stage sample",
        f"{summary['sweeps']} sweeps, {summary['draws']} draws a chain",
        f"{summary['sweeps']} of 60 sweeps",
        "ESS of every coordinate",
        f"Stored draws a chain {summary['draws']} 1,000 no {summary['draws'] / 1000:.0%}",
        "limits.sweeps=120",
        "scout 3 3",
    ):
        assert part in reply.page.text, part
    assert "b" not in reply.page.tags
    # Nothing more is to be expected of it.
    assert (reply.page.refresh, reply.page.forms) == (None, [])


def test_what_is_slowest_comes_first(visitor: Visitor, store: Path) -> None:
    text = visitor.open().page.text
    diagnostics = maxwell.open_run(store).diagnostics()
    smallest = {site: float(diagnostics[f"{site}_ess"].min()) for site in ("mu", "sd", "x")}
    slowest = sorted(smallest, key=lambda site: smallest[site])
    groups, coordinates = text.index("Groups of coordinates"), text.index("Slowest coordinates")
    places = [text.index(f" {site} ", groups) for site in slowest]
    assert groups < places[0] < places[1] < places[2] < coordinates
    first = text[coordinates:].removeprefix("Slowest coordinates. coordinate ESS R-hat ")
    assert first.startswith(slowest[0])


def test_headers_keep_everything_on_this_machine(visitor: Visitor) -> None:
    headers = visitor.open().headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; img-src data:")
    assert headers["Cache-Control"] == "no-store"
    assert "Server" in headers
    assert "Python" not in headers["Server"]


def test_a_run_is_followed_and_stopped_by_its_button(tmp_path: Path) -> None:
    """Commits every three rounds; the page is read after some, and the button pressed in the eighth."""
    store, seen = tmp_path / "run.zarr", dict[int, Reply]()
    render = Rendering()
    with served(store, render) as visitor:

        def look(epoch: int) -> None:
            if epoch in (3, 4, 6):
                seen[epoch] = visitor.open()
                visitor.follow(seen[epoch], "report?")
            if epoch == 8:
                seen[epoch] = visitor.press(seen[6])

        with pytest.raises(maxwell.Interrupted, match=r"stopped, as .+@.+ asked"):
            maxwell.run(WHOLE, out=store, local=True, progress=EveryRound(look))
        last = visitor.open()
    assert [f"running, in stage {stage}" in seen[epoch].page.text for epoch, stage in ((3, "scout"), (6, "sample"))]
    assert all(f"process {os.getpid()} on host" in reply.page.text for reply in seen.values())
    assert all(reply.page.refresh == 5 for reply in seen.values())
    assert "3 sweeps, 0 draws a chain" in seen[3].page.text
    assert seen[3].page.text.count("3 sweeps, 0 draws a chain") == seen[4].page.text.count("3 sweeps, 0 draws a chain")
    # At most once a commit: the fourth round had none.
    assert render.made == 2
    assert seen[8].address == visitor.address
    assert "stopping, in stage" in seen[8].page.text
    assert f"{stores.stop_asked(store)} asked the run to stop" in seen[8].page.text
    assert seen[8].page.forms == []
    assert "stopped, in stage sample" in last.page.text
    assert "asked the run to stop, and nobody writes to it now" in last.page.text
    assert "maxwell resume" in last.page.text
    assert (last.page.refresh, last.page.forms) == (None, [])


def test_before_the_first_commit_and_before_goals_are_looked_at(tmp_path: Path) -> None:
    store, seen = tmp_path / "run.zarr", list[Reply]()
    with served(store, Rendering()) as visitor:

        def look(epoch: int) -> None:
            if epoch == 1:
                seen.append(visitor.open())

        maxwell.run(WHOLE, ["limits.sweeps=3"], out=store, local=True, progress=EveryRound(look))
    (early,) = seen
    assert early.status == 200
    for part in ("running", "No draws yet", "Not known yet: the goals are looked at", "not known before the goals"):
        assert part in early.page.text, part


def test_the_report_is_made_once_a_commit(visitor: Visitor, store: Path) -> None:
    texts = [visitor.follow(visitor.open(), "report?").page.text for _ in range(3)]
    assert all("report 1" in text and "As of the commit of" in text for text in texts)
    commit(store)
    renewed = visitor.open(visitor.address.replace("/?", "/report?"))
    assert "report 2" in renewed.page.text
    assert "How far the run is" in renewed.page.text
    # Of a run that has ended there will be no newer one.
    assert renewed.page.refresh is None


def test_the_report_of_a_run_that_goes_on_is_renewed_unless_it_is_held(visitor: Visitor, store: Path) -> None:
    with stores.reopen(store):
        reply = visitor.follow(visitor.open(), "report?")
        assert reply.page.refresh == REPORT_SECONDS
        (hold,) = {link for link in reply.page.links if "hold" in link}
        held = visitor.open(urljoin(reply.address, hold))
        assert (held.page.refresh, "report 1" in held.page.text) == (None, True)


def test_the_first_report_is_waited_for(store: Path) -> None:
    waiting: list[Callable[[], None]] = []
    with served(store, Rendering(), waiting.append) as visitor:
        reply = visitor.follow(visitor.open(), "report?")
        assert (reply.status, reply.page.refresh) == (200, SOON)
        assert "The report is being made" in reply.page.text
        waiting.pop()()
        assert "report 1" in visitor.open(reply.address).page.text


def test_a_report_that_cannot_be_made_says_why_and_nothing_ends(store: Path) -> None:
    render = Rendering()
    render.fault = "<i>file</i> is damaged"
    with served(store, render) as visitor:
        address = visitor.address.replace("/?", "/report?")
        reply = visitor.open(address)
        assert reply.status == 503
        assert "could not be made: <i>file</i> is damaged" in reply.page.text
        assert visitor.open().status == 200
        render.fault = None
        assert "report 1" in visitor.open(address).page.text


def test_a_store_that_cannot_be_read_is_told_until_it_can(visitor: Visitor, store: Path) -> None:
    root = store / "zarr.json"
    whole = root.read_bytes()
    root.write_bytes(whole[:-40])
    for path in ("/?", "/report?"):
        reply = visitor.open(visitor.address.replace("/?", path))
        assert (reply.status, reply.page.refresh) == (503, 5)
        assert "zarr.json are damaged" in reply.page.text
        assert "Traceback" not in reply.page.text
    root.write_bytes(whole)
    assert visitor.open().status == 200


def test_an_error_of_the_program_itself_is_told_and_nothing_ends(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    with monkeypatch.context() as patch:
        patch.setattr("workflows.live.pages.overview", broken)
        reply = visitor.open()
    assert (reply.status, "ZeroDivisionError: by nought" in reply.page.text) == (500, True)
    assert visitor.open().status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "localhost@evil.example", "[", "", "0.0.0.0"]
)
def test_other_names_of_this_machine_are_refused(visitor: Visitor, store: Path, host: str) -> None:
    query = urlencode({"key": KEY})
    assert visitor.status("GET", f"/?{query}", Host=host)[0] == 403
    body = query.encode()
    assert visitor.status("POST", "/stop", body, Host=host, Content_Length=str(len(body)))[0] == 403
    assert stores.stop_asked(store) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:80"])
def test_names_of_this_machine_and_the_ports_of_tunnels_are_taken(visitor: Visitor, host: str) -> None:
    assert visitor.status("GET", f"/?{urlencode({'key': KEY})}", Host=host)[0] == 200


def test_with_two_hosts_nothing_is_told(visitor: Visitor) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", visitor.port, timeout=60)
    connection.putrequest("GET", f"/?{urlencode({'key': KEY})}")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], f"{KEY}x", "ключ"])
def test_without_the_key_nothing_is_shown_and_nobody_is_stopped(visitor: Visitor, store: Path, key: str | None) -> None:
    given = {} if key is None else {"key": key}
    for path in ("/", "/report", "/stop"):
        reply = visitor.open(f"{path}?{urlencode(given)}")
        assert reply.status == 403
        assert "open the address that `maxwell report --serve` printed" in reply.page.text
        assert str(store) not in reply.page.text
    assert visitor.open("/stop", given).status == 403
    # Where an address of elsewhere leads, the key does not follow.
    assert visitor.open(f"/stop?{urlencode({'key': KEY})}", given).status == 403
    assert stores.stop_asked(store) is None


def test_a_run_is_stopped_by_a_form_alone(visitor: Visitor, store: Path) -> None:
    reply = visitor.open(f"/stop?{urlencode({'key': KEY})}")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    assert stores.stop_asked(store) is None
    assert visitor.open("/stop", {"key": KEY}).status == 200
    assert stores.stop_asked(store) is not None


def test_requests_that_no_browser_makes(visitor: Visitor) -> None:
    query = urlencode({"key": KEY})
    assert visitor.status("POST", "/stop")[0] == 411
    assert visitor.status("POST", "/stop", Content_Length="-1")[0] == 411
    assert visitor.status("POST", "/stop", Content_Length="1000000")[0] == 413
    assert visitor.status("POST", "/other", query.encode(), Content_Length=str(len(query)))[0] == 404
    assert visitor.status("GET", f"/../../etc/passwd?{query}")[0] == 404
    assert visitor.status("GET", f"//evil.example/?{query}")[0] == 404
    assert visitor.status("DELETE", f"/?{query}")[0] == 501
    status, body = visitor.status("HEAD", f"/?{query}")
    assert (status, body) == (200, "")


def test_a_packed_store_has_the_page_without_a_button(store: Path, tmp_path: Path) -> None:
    packed = stores.pack(store, tmp_path / "run.zip")
    with served(packed, Rendering()) as visitor:
        reply = visitor.open()
        assert "at its limit" in reply.page.text
        assert reply.page.forms == []
        assert "report 1" in visitor.follow(reply, "report?").page.text
        refused = visitor.open("/stop", {"key": KEY})
    assert (refused.status, refused.page.refresh) == (503, None)
    assert "is a packed store, which is read and not written" in refused.page.text
