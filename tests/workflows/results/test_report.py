"""The report: a page that stands alone, says what `inspect` says, and holds for any run of any model."""

import base64
import html
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from matplotlib import image

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store import opening as stores
from ensemble.store.contents import Layout, Variable
from maxwell import open_run, run
from tests.support.html_checker import Page
from tests.support.models.report_models import NAMES
from tests.support.runs import SETTINGS
from workflows.cli.main import main
from workflows.results.inspect import number
from workflows.results.report.facts import Facts
from workflows.results.report.page import page
from workflows.results.report.pictures.__main__ import save
from workflows.results.report.write import ReportError, default_output, write_report
from workflows.settings.loading import make_settings

SECTIONS = [
    "summary",
    "model",
    "shared",
    "fit",
    "verdicts",
    "worst",
    "diagnostics",
    "run",
    "course",
    "rates",
    "ladder",
    "numbers",
]
AIRWAY: dict[str, Any] = {
    **SETTINGS,
    "model": {"name": "airway", "genes": 40},
    "round": {"sweeps": 4},
    "scout": {"kernel": "none"},
    "tempering": {},
    # 24 rounds in `sample`: enough batches for an ESS.
    "limits": {"sweeps": 116},
}
SCORPIO: dict[str, Any] = {
    **SETTINGS,
    "model": {"name": "scorpio", "copies": 2},
    "scout": {"kernel": "none"},
    "tempering": {"swaps": "whole", "rungs": 3, "hottest": 10.0, "stages": ["equilibrate", "sample"]},
}
USERS: dict[str, Any] = {**SETTINGS, "model": {"name": "tests.support.models.report_models:hostile"}, "tempering": {}}
LIMIT = 1.5e6
"""Bytes of the page of a small run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def users(folder: Path) -> Path:
    """A user's model; its names, and that of its store, would be HTML."""
    return run(USERS, out=folder / "<b>a & 'b.zarr", local=True).path


@pytest.fixture(scope="module")
def airway(folder: Path) -> Path:
    return run(AIRWAY, out=folder / "airway.zarr", local=True).path


@pytest.fixture(scope="module")
def scorpio(folder: Path) -> Path:
    return run(SCORPIO, out=folder / "scorpio.zarr", local=True).path


@cache
def made(store: Path) -> str:
    """The page of a store, made once."""
    return page(Facts(store))


def report(store: Path) -> Page:
    """The parsed page of a store: a good one, with every section."""
    source = made(store)
    assert len(source) < LIMIT
    parsed = Page(source)
    assert parsed.problems == []
    assert parsed.ids == SECTIONS
    assert parsed.links == [f"#{name}" for name in SECTIONS]
    assert "script" not in parsed.tags
    return parsed


def test_the_models_own_pictures_are_saved_as_files(airway: Path, users: Path, tmp_path: Path) -> None:
    """The images of the page, in its order."""
    paths = save(airway, tmp_path / "pictures")
    assert [path.name for path in paths] == ["airway_1.svg", "airway_2.svg"]
    places = [made(airway).find(base64.b64encode(path.read_bytes()).decode()) for path in paths]
    assert 0 < places[0] < places[1]
    assert all(b"<svg" in path.read_bytes()[:500] for path in paths)
    assert save(users, tmp_path / "none") == []


def test_the_page_holds_the_numbers_of_inspect(airway: Path) -> None:
    summary, text = open_run(airway).summary(), report(airway).text
    assert summary["ess_online_min"] is not None
    for part in (
        f"parameters (joint d) {summary['d']:,}",
        f"min {number(summary['ess_online_min'])}, median {number(summary['ess_online_median'])}",
        f"max {summary['nested_rhat_max']:.4f}, limit {summary['nested_rhat_limit']:.4f}",
        f"min {number(summary['ess_online_shared_min'])}",
        f"max {summary['nested_rhat_shared_max']:.4f}",
        *(f"{level} {number(rate)}" for level, rate in summary["acceptance"].items()),
        *(f"{number(row['ess'])} {row['rhat']:.4f}" for row in summary["worst"]),
        *(f"{level['level']} {level['blocks']} {level['coordinates']}" for level in summary["structure"]),
        *summary["joined"],
        *(f"{name} {version}" for name, version in summary["versions"].items()),
        summary["resume_command"],
    ):
        assert part in text, part


def test_the_page_ends_with_all_of_inspect(airway: Path) -> None:
    (block,) = re.findall(r'<pre class="long">(.*?)</pre>', made(airway), flags=re.DOTALL)
    assert json.loads(html.unescape(block)) == open_run(airway).summary()


def test_the_same_store_gives_the_same_bytes(airway: Path) -> None:
    assert page(Facts(airway)) == made(airway)


def test_a_page_of_airway(airway: Path) -> None:
    parsed = report(airway)
    for part in (
        "Volcano plot of 40 genes",
        "Shrinkage: log2 fold change",
        "Strongest effects of dexamethasone",
        "observed_data y 8 sample x 40 gene",
        "limits.sweeps 116 100000",
        "model.genes 40",
        "One temperature",
        "equilibrate 4 16",
    ):
        assert part in parsed.text, part
    # Two of the fit, course, histograms, six coordinates, volcano, shrinkage.
    assert len(parsed.images) == 12


def test_a_page_of_scorpio_on_a_ladder(scorpio: Path) -> None:
    parsed = report(scorpio)
    for part in ("Mass of each mode", "contours of the exact density", "The ladder of 3 temperatures", "whole/0-1"):
        assert part in parsed.text, part
    assert "every site lies on a plate" in parsed.text


def test_a_page_of_a_users_model(users: Path) -> None:
    text = report(users).text
    for part in (
        "tests.support.models.report_models:hostile",
        "no tables or pictures of its own",
        "Does the model fit?",
        "centre and spread fits",
        "scout 3 3",
        "equilibrate 4 8",
        "Not drawn, as draws have another shape than the site: share",
    ):
        assert part in text, part


def test_hostile_names_stay_text(users: Path) -> None:
    """Names of coordinates and of the store."""
    parsed = report(users)
    assert "b" not in parsed.tags
    assert "<b>a & 'b.zarr" in parsed.text
    assert sum(f"x[{' '.join(name.split())}]" in parsed.text for name in NAMES) >= 3


def test_a_run_without_draws_has_a_page_that_says_so(folder: Path) -> None:
    store = run(SETTINGS, ["limits.sweeps=2"], out=folder / "early.zarr", local=True).path
    text = report(store).text
    for part in ("No draws yet: the run stands in stage scout", "no draws have been committed"):
        assert part in text, part
    assert re.search(r"scout 2 2 \d+:\d\d \d+ to the typical set", text)


def test_a_store_before_its_first_commit_has_a_page(folder: Path) -> None:
    path = folder / "first.zarr"
    settings = make_settings({"model": {"name": "airway"}}).model_dump(mode="json")
    groups = {"posterior": {"mu": Variable("float32")}, "sample_stats": {"lp": Variable("float64")}}
    sites = {"mu": {"shape": [], "plates": []}}
    attributes = {"model": "airway", "seed": 0, "settings": settings, "fingerprint": {"sites": sites}}
    stores.create(path, Layout(groups, 4, 8, 8, {}, {}), attributes).close()
    text = report(path).text
    assert "No draws yet" in text
    assert "maxwell resume" in text


def test_a_store_whose_checkpoint_is_damaged_is_refused(users: Path, tmp_path: Path) -> None:
    store = tmp_path / "damaged.zarr"
    shutil.copytree(users, store)
    for file in store.glob("checkpoint/*/coordinator.npz"):
        file.write_bytes(b"PK no longer")
    with pytest.raises(
        StoreDamaged, match=r"in its last checkpoint, .*coordinator.npz is damaged: .*Restore that file"
    ):
        Facts(store)
    shutil.rmtree(store / "checkpoint")
    with pytest.raises(
        StoreDamaged, match=r"in its last checkpoint, .*manifest.json cannot be read .*Restore that file"
    ):
        Facts(store)


def test_draws_that_a_live_run_adds_meanwhile_are_left_out(airway: Path) -> None:
    facts = Facts(airway)
    draws = facts.attributes["maxwell"]["draws"]
    facts.attributes["maxwell"]["draws"] = {group: count - 2 for group, count in draws.items()}
    assert facts.values("mu_a").shape == (8, draws["posterior"] - 2)
    assert Page(page(facts)).problems == []


def test_the_command_writes_beside_the_store(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = default_output(users)
    assert out == users.with_name("<b>a & 'b.html")
    assert main(["report", str(users)]) == 0
    assert capsys.readouterr().out.startswith(str(out))
    assert Page(out.read_text("utf-8")).problems == []
    assert list(users.parent.glob(".*.html.*")) == []


def test_what_cannot_be_written_is_refused(users: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "page.html", "No such file or directory")):
        with pytest.raises(ReportError, match=f"cannot write the report to {out}: {why}"):
            write_report(users, out)
    assert main(["report", str(users), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("maxwell: cannot write the report")


def test_without_a_store_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError):
        write_report(tmp_path / "none.zarr", tmp_path / "page.html")
    assert main(["report", str(tmp_path / "none.zarr")]) == 2
    assert "none.zarr" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_fails_leaves_the_one_before(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page.html"
    out.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ReportError, match="No space left on device"):
        write_report(users, out)
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]


CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome", "chrome-headless-shell")


def browser(names: tuple[str, ...]) -> str:
    """A browser on the path; the test is skipped where there is none."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser on the path: looked for {', '.join(names)}")
    return found


def chromium(arguments: list[str], store: Path, tmp_path: Path) -> str:
    """What Chromium prints when it opens the report of a store."""
    program, out = browser(CHROMIUM), tmp_path / "page.html"
    out.write_text(made(store), "utf-8")
    # A user's namespaces are not root's, and no profile of a person is touched.
    options = ["--headless", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [program, *options, *arguments, out.as_uri()], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chromium_reads_the_page(airway: Path, tmp_path: Path) -> None:
    dom = chromium(["--dump-dom"], airway, tmp_path)
    parsed = Page(re.sub(r"^\s*<!DOCTYPE html>", "", dom))
    assert parsed.problems == []
    assert parsed.text == report(airway).text


def test_chromium_prints_the_page_with_its_pictures(airway: Path, tmp_path: Path) -> None:
    pdf = tmp_path / "page.pdf"
    chromium([f"--print-to-pdf={pdf}", "--no-pdf-header-footer"], airway, tmp_path)
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF")
    # The page without its pictures is a tenth of this.
    assert len(data) > 1.5e5
    # A4 in points: as the style of the page asks.
    assert re.search(rb"/MediaBox \[0 0 59[45](\.\d+)? 84[12](\.\d+)?\]", data)


def test_firefox_shows_the_page(airway: Path, tmp_path: Path) -> None:
    program, out = browser(("firefox", "firefox-esr")), tmp_path / "page.html"
    out.write_text(made(airway), "utf-8")
    shot = tmp_path / "page.png"
    profile = ["--headless", "--no-remote", "--profile", str(tmp_path / "profile")]
    (tmp_path / "profile").mkdir()
    command = [program, *profile, "--window-size=800,6000", "--screenshot", str(shot), out.as_uri()]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    ink = image.imread(shot)[..., :3].min(axis=-1) < 0.5
    # Words and pictures all the way down.
    assert (ink.reshape(20, -1).mean(axis=1) > 1e-3).sum() >= 15
