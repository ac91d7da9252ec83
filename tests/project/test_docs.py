"""Pages, pictures and README name only files that there are, and the site has every page in its menu."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


def targets(page: Path) -> list[str]:
    """The local files that a page links to, without anchors."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_names_a_file(page: Path) -> None:
    assert [target for target in targets(page) if target and not (page.parent / target).exists()] == []


def test_every_page_is_in_the_menu() -> None:
    menu = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2])
    assert sorted(menu) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:])


def test_the_site_asks_nothing_of_another_host() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert settings["theme"]["font"] is False
    assert settings["strict"] is True
    assert not {"extra_javascript", "extra_css", "repo_url"} & set(settings)


def test_the_readme_is_short_and_has_its_pictures() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) < 150
    assert len(re.findall(r"^!\[[^\]]{20,}\]\(docs/", readme, re.MULTILINE)) == 2
