"""The whole page: head, style and sections, in one document that needs nothing else."""

from importlib.resources import files
from string import Template

from workflows.results.inspect import number
from workflows.results.report.drawing import style
from workflows.results.report.facts import Facts
from workflows.results.report.markup import Markup, element, escaped, joined
from workflows.results.report.sections import Section, sections

CSS = files(__package__).joinpath("look.css").read_text("utf-8")

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$css</style>
$bounds<header>
<h1>$title</h1>
$about
</header>
<main>
$main
</main>
</body>
</html>
""")
BOUNDS = "</head>\n<body>\n"
"""Between head and body of every document; only once in each, as all that is not made here is escaped."""


def page(facts: Facts) -> str:
    """The report as HTML text; the same store gives the same text."""
    with style():
        parts = sections(facts)
    contents = element("nav", *(element("a", part.title, href=f"#{part.name}") for part in parts))
    return document(
        f"{number(facts.summary['model'])}: report of a run",
        joined([element("p", _about(facts)), contents]),
        joined(_section(part) for part in parts),
    )


def document(title: str, about: Markup, main: Markup) -> str:
    """A document in the page's style: what stands below the title, and everything else."""
    return PAGE.substitute(title=escaped(title), css=CSS, bounds=BOUNDS, about=about, main=main)


def renewed(text: str, every: int | None, note: Markup | None = None) -> str:
    """A document that browsers load anew after so many seconds (None: never), with a note before all else."""
    again = element("meta", http_equiv="refresh", content=str(every)) + "\n" if every else ""
    return text.replace(BOUNDS, again + BOUNDS + ("" if note is None else note + "\n"), 1)


def _about(facts: Facts) -> str:
    summary = facts.summary
    return (
        f"{summary['path']}: {number(summary['d'])} parameters, {number(summary['draws'])} draws of each of "
        f"{facts.chains} stored chains, as of the last commit, after {number(summary['sweeps'])} sweeps in stage "
        f"{number(summary['stage'])}."
    )


def _section(part: Section) -> Markup:
    return element("section", element("h2", part.title), "\n", part.body, id=part.name)
