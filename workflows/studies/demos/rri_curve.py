"""The curve of RR intervals in pictures: recordings with their bands, the likelihood over (alpha, c), derivatives.

python -m workflows.studies.demos.rri_curve --out FOLDER
"""

import argparse
from pathlib import Path

from workflows.studies.demos import rri_pictures, rri_views
from workflows.studies.demos.canvas import save


def draw(folder: Path) -> list[Path]:
    """Write curve.png, likelihood.png and derivatives.png; their paths."""
    bands = {"constant": rri_views.band(varying=False), "varying": rri_views.band(varying=True)}
    figures = {
        "curve": rri_pictures.curves(bands),
        "likelihood": rri_pictures.likelihood(rri_views.surface()),
        "derivatives": rri_pictures.derivatives(*rri_views.derivatives()),
    }
    paths = {name: folder / f"{name}.png" for name in figures}
    for name, figure in figures.items():
        save(figure, paths[name])
    return list(paths.values())


def main() -> None:
    """Draw, and print where."""
    parser = argparse.ArgumentParser(description="pictures of the curve of RR intervals")
    parser.add_argument("--out", type=Path, default=Path("rri"), metavar="FOLDER")
    print("\n".join(str(path) for path in draw(parser.parse_args().out)))


if __name__ == "__main__":
    main()
