"""The whole page: head, style and sections, in one document that needs nothing else."""

from string import Template

from workflows.results.inspect import number
from workflows.results.report.drawing import style
from workflows.results.report.facts import Facts
from workflows.results.report.markup import Markup, element, escaped, joined
from workflows.results.report.sections import Section, sections

CSS = """
@page { size: A4; margin: 16mm 15mm; }
body { font: 10pt/1.4 Georgia, "Times New Roman", serif; color: #000; background: #fff; max-width: 178mm;
  margin: 8mm auto; padding: 0 4mm; }
h1 { font-size: 17pt; margin: 0 0 1mm; }
h2 { font-size: 13pt; margin: 8mm 0 2mm; border-bottom: 0.3mm solid #000; break-after: avoid; }
h3 { font-size: 10.5pt; margin: 4mm 0 1mm; break-after: avoid; }
p { margin: 1.5mm 0; }
nav { display: flex; flex-wrap: wrap; gap: 0 4mm; }
nav a { color: #000; }
.headline { font-size: 12pt; font-weight: bold; }
table { border-collapse: collapse; margin: 2mm 0 4mm; font-size: 9pt; break-inside: avoid; }
.table { margin: 3mm 0 4mm; }
.table figcaption { font-size: 9pt; font-style: italic; break-after: avoid; }
.table table { margin-top: 1mm; }
th, td { padding: 0.5mm 3mm 0.5mm 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th[scope=row] { font-weight: normal; min-width: 34mm; overflow-wrap: normal; }
thead th { border-bottom: 0.2mm solid #000; font-weight: bold; overflow-wrap: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.judgement { font-weight: bold; white-space: nowrap; }
.missed { text-decoration: underline; }
.note, .not { font-weight: normal; font-style: italic; }
figure { margin: 3mm 0 5mm; break-inside: avoid; }
figure img { width: 100%; height: auto; }
figcaption { font-size: 8.5pt; }
aside { font-size: 9pt; border: 0.2mm solid #999; padding: 1mm 3mm; }
progress { width: 40mm; }
button { font: inherit; padding: 1mm 4mm; }
pre { font: 8.5pt/1.35 "DejaVu Sans Mono", Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  background: #f3f3f3; padding: 2mm; margin: 1.5mm 0; }
@media print { body { margin: 0; padding: 0; max-width: none; } nav { display: none; } pre { background: none;
  border: 0.2mm solid #999; } }
"""

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
