"""`python -m workflows.cli`: the command line from a checkout."""

import sys

from workflows.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
