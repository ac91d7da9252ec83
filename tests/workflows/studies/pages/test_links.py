"""A site that is not whole is told, page by page."""

from pathlib import Path

import pytest

from workflows.studies.pages.links import main, problems

GOOD = '<a href="b.html#part">b</a><a href="https://example.org">out</a><img src="p.svg" alt="a curve"><p id="here">'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two pages, a picture and a style sheet, all of it well."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<h2 id="part">Part</h2><a href="index.html#here">back</a><a href="deep/">c</a>')
    (tmp_path / "deep" / "index.html").write_text('<a href="../b.html#part">up</a><a href="#">top</a>')
    (tmp_path / "p.svg").write_text("<svg/>")
    (tmp_path / "look.css").write_text("a {background: url(p.svg)}")
    return tmp_path


def test_a_whole_site_has_no_problems(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(problems(site)) == []
    assert main([str(site)]) == 0
    assert "every link leads somewhere" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ('<a href="gone.html">', "index.html: gone.html leads nowhere"),
        ('<a href="b.html#nothing">', "index.html: b.html#nothing leads nowhere"),
        ('<a href="#nothing">', "index.html: #nothing leads nowhere"),
        ('<img src="q.svg" alt="q">', "index.html: q.svg leads nowhere"),
        ('<img src="p.svg">', "index.html: the picture p.svg has no alternative text"),
        ('<script src="https://cdn.example/x.js">', "index.html: loads https://cdn.example/x.js from another host"),
        (
            '<link rel="stylesheet" href="//cdn.example/x.css">',
            "index.html: loads //cdn.example/x.css from another host",
        ),
    ],
)
def test_what_is_wrong_is_told(site: Path, planted: str, told: str) -> None:
    (site / "index.html").write_text(GOOD + planted)
    assert list(problems(site)) == [told]
    assert main([str(site)]) == 1


def test_a_style_sheet_may_not_load_from_another_host(site: Path) -> None:
    (site / "look.css").write_text("@font-face {src: url('https://fonts.example/f.woff2')}")
    assert list(problems(site)) == ["look.css: loads from another host"]
