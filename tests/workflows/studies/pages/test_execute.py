"""Pages are run from top to bottom, and what they show is held to what they print."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from workflows.studies.pages.execute import blocks, differences, execute, words

ROOT = Path(__file__).resolve().parents[4]
RUN = sorted([ROOT / "docs" / "start.md", *(ROOT / "docs" / "tutorials").glob("*.md")])

PAGE = """\
# A page

```python
a = 2
```

```python title="mine.py"
b = 3
```

```python
import mine
print("the sum is", a + mine.b)
```

```text
the sum is 4
```

<!-- check
assert a + mine.b == 5
-->

```bash
echo one two
```

```text
one three
```

<!-- not run -->
```bash
exit 1
```
"""


def test_blocks_run_in_order_and_their_output_is_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = execute(PAGE)
    assert made == PAGE.replace("the sum is 4", "the sum is 5").replace("one three", "one two")
    # A number may differ, a word may not.
    (told,) = differences(PAGE, made)
    assert "one three" in told
    assert "one two" in told


def test_a_check_that_fails_and_a_command_that_fails_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        execute("<!-- check\nassert 1 == 2\n-->\n")
    with pytest.raises(subprocess.CalledProcessError):
        execute("```bash\nfalse\ntrue\n```\n")


def test_numbers_are_no_words() -> None:
    assert words("mu  1.25 (-3e-05, 1,000) x2") == words("mu -7 (0.1,  12) x2")
    assert words("x2") != words("x3")


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_page_has_code_and_shows_what_came_of_it(page: Path) -> None:
    kinds = [block.kind for block in blocks(page.read_text("utf-8"))]
    assert {"python", "bash"} & set(kinds)
    assert "text" in kinds
    assert "check" in kinds, "what is known of the answer is asserted in a check"


# What summaries look like differs between the two; the pages show the locked one's.
@pytest.mark.skipif(metadata.version("arviz").startswith("1."), reason="pages show what ArviZ 0.23 prints")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "workflows.studies.pages.execute", str(page), "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
