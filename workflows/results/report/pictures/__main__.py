"""The model's own pictures of a run as files.

    python -m workflows.results.report.pictures STORE FOLDER

Writes FOLDER/<model>_<number>.svg, in the order of the report.
"""

import argparse
import base64
import sys
from pathlib import Path

from ensemble.errors import MaxwellError
from workflows.results.report.drawing import style
from workflows.results.report.facts import Facts
from workflows.results.report.pictures.own import own_pictures


def save(store: str | Path, folder: str | Path) -> list[Path]:
    """Write the pictures and return where they are; none for a model without. Raises StoreError where there is no
    store, OSError where the folder cannot be written."""
    facts, folder = Facts(store), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        pictures = own_pictures(facts)
    written = []
    for number, picture in enumerate(pictures, start=1):
        path = folder / f"{facts.summary['model']}_{number}.svg"
        path.write_bytes(base64.b64decode(picture.source.partition(",")[2]))
        written.append(path)
    return written


def main() -> int:
    """Save the pictures of a run; exit status 2 with a sentence where that cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.results.report.pictures", description=__doc__.splitlines()[0]
    )
    parser.add_argument("store")
    parser.add_argument("folder")
    arguments = parser.parse_args()
    try:
        save(arguments.store, arguments.folder)
    except (MaxwellError, OSError) as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
