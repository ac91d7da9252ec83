"""What people see: few plain lines in a log, a live table on a terminal, the same numbers in both."""

import io

from rich.console import Console

from ensemble.protocol.progress import NullProgress, Progress, Status
from workflows.results.progress import (
    NotebookProgress,
    PlainProgress,
    RichProgress,
    duration,
    in_notebook,
    make_progress,
    status_line,
)

START = Status(
    stage="scout",
    epoch=1,
    sweeps=16,
    draws=0,
    acceptance={"gene": 0.314, "global [a]": 0.25},
    swap_rates={},
    lp_mean=-123456.78,
    rhat_max=None,
    rhat_limit=None,
    rhat_shared_max=None,
    ess_min=None,
    ess_median=None,
    ess_shared_min=None,
    nonfinite=0,
    divergences=0,
    seconds=42.4,
    seconds_left=None,
)
LATER = START._replace(
    stage="sample",
    epoch=90,
    sweeps=1440,
    draws=12,
    swap_rates={"1.0-3.5": 0.435},
    rhat_max=1.0812,
    rhat_limit=1.062,
    rhat_shared_max=1.013,
    ess_min=120.2,
    ess_median=1400.0,
    ess_shared_min=210.0,
    nonfinite=3,
    seconds_left=70.0,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_what_is_known_and_leaves_out_the_rest():
    assert status_line(START) == (
        "scout: round 1, 16 sweeps, 0 draws a chain; time 0:42; accepted gene 0.31, global [a] 0.25; "
        "log density -123,456.8"
    )
    assert status_line(LATER) == (
        "sample: round 90, 1,440 sweeps, 12 draws a chain; time 0:42, about 1:10 left; "
        "accepted gene 0.31, global [a] 0.25; swaps 1.0-3.5 0.43; log density -123,456.8; "
        "R-hat 1.081 (limit 1.062), shared 1.013; ESS min 120, median 1,400, shared min 210; non-finite 3 proposals"
    )


def test_durations_read_like_clocks():
    assert [duration(s) for s in (0, 59.6, 725, 3723)] == ["0:00", "1:00", "12:05", "1:02:03"]


def test_plain_lines_are_few_but_keep_first_and_last_numbers_of_a_stage():
    stream, clock = io.StringIO(), Clock()
    progress = PlainProgress(stream, seconds=10.0, clock=clock)
    progress.stage("scout", "finding the typical set")
    for epoch in range(100):
        clock.now = epoch * 0.25
        progress.update(START._replace(epoch=epoch))
    progress.message("worker 1 was lost")
    progress.stage("equilibrate", "adapting")
    progress.update(LATER._replace(stage="equilibrate", epoch=100))
    progress.close()
    progress.close()
    lines = stream.getvalue().splitlines()
    starts = [line.partition(",")[0] for line in lines]
    assert starts == [
        "scout: finding the typical set",
        "scout: round 0",
        "scout: round 40",
        "scout: round 80",
        "worker 1 was lost",
        "scout: round 99",
        "equilibrate: adapting",
        "equilibrate: round 100",
    ]


def test_the_stream_decides_the_display(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(make_progress(io.StringIO()).display, PlainProgress)
    assert isinstance(make_progress(Terminal()).display, RichProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(Terminal()).display, PlainProgress)


def test_the_live_table_shows_the_numbers_and_leaves_a_line_for_each_stage():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=400, color_system=None)
    progress = RichProgress(console)
    progress.stage("scout", "finding the [typical] set")
    progress.update(START)
    progress.stage("sample", "recording draws")
    progress.message("a message with [brackets]")
    progress.update(LATER)
    progress.close()
    progress.close()
    text = stream.getvalue()
    assert "scout: finding the [typical] set" in text
    assert "a message with [brackets]" in text
    assert text.count(status_line(START)) == 1
    assert text.count(status_line(LATER)) == 1


def test_the_table_itself_holds_every_row():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, color_system=None)
    progress = RichProgress(console)
    progress.stage("sample", "recording draws")
    progress.update(LATER)
    progress._live.refresh()
    text = stream.getvalue()
    progress.close()
    for part in ("sample: recording draws", "1.081 (limit 1.062), shared 1.013", "1.0-3.5 0.43", "about 1:10 left"):
        assert part in text


class Cell:
    """Stands in for IPython's display: one output, and how often it changed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, bundle, raw, display_id):
        assert raw
        assert display_id
        assert self.texts == [], "a second output"
        self.update(bundle, raw)
        return self

    def update(self, bundle, raw):
        assert raw
        assert bundle["text/html"].startswith("<pre>")
        self.texts.append(bundle["text/plain"])


def test_a_notebook_has_one_output_that_changes_in_place_and_not_too_often():
    cell, clock = Cell(), Clock()
    progress = NotebookProgress(cell, seconds=0.5, clock=clock)
    progress.stage("scout", "finding the <typical> set")
    for epoch in range(100):
        clock.now = epoch * 0.01
        progress.update(START._replace(epoch=epoch))
    assert len(cell.texts) == 2
    assert cell.texts[-1].startswith("scout: finding the <typical> set\n  round ")
    progress.message("worker 1 was lost")
    progress.stage("sample", "recording draws")
    progress.update(LATER)
    progress.close()
    progress.close()
    assert cell.texts[-1].splitlines() == [
        "worker 1 was lost",
        status_line(START._replace(epoch=99)),
        status_line(LATER),
    ]


def test_here_is_no_notebook():
    assert not in_notebook()


def test_all_displays_follow_the_protocol(capsys):
    """Each shows all that it is told, on its own stream and nowhere else; the silent one shows nothing."""
    plain, live = io.StringIO(), io.StringIO()
    console = Console(file=live, force_terminal=True, width=400, color_system=None)
    displays: list[Progress] = [NullProgress(), PlainProgress(plain), RichProgress(console)]
    for progress in displays:
        progress.stage("scout", "text")
        progress.update(START)
        progress.message("a message")
        progress.close()
    assert plain.getvalue().splitlines() == ["scout: text", status_line(START), "a message"]
    assert all(line in live.getvalue() for line in plain.getvalue().splitlines())
    assert capsys.readouterr() == ("", "")


def test_divergences_are_shown_once_there_are_any() -> None:
    assert "divergent" not in status_line(LATER)
    assert "divergent 1,234 trajectories" in status_line(LATER._replace(divergences=1234))


class Pipe(io.StringIO):
    """A pipe whose reader leaves."""

    broken = False

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


def test_a_run_goes_on_when_nobody_reads_what_it_says() -> None:
    pipe = Pipe()
    shown = make_progress(pipe)
    shown.message("here")
    pipe.broken = True
    shown.stage("scout", "finding the typical set")
    pipe.broken = False
    shown.message("seen by nobody")
    shown.close()
    assert pipe.getvalue() == "here\n"
