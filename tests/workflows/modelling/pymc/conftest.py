"""The tests of the PyMC front end are skipped where PyMC is not installed."""

from pathlib import Path

import pytest

NOT_OURS = (
    "PyTensor could not link to a BLAS:UserWarning",
    "\\nArviZ is undergoing a major refactor:FutureWarning",
    "Data in y contains missing values",
    "For backward compatibility, 'str' dtypes are",
)
"""What other packages say of this machine, of each other and of the models."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what other packages have to say."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{warning}"))
