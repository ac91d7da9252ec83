"""Front ends of packages that need not be there."""

import sys

import pytest

import maxwell
from workflows.modelling.errors import ModelError


@pytest.mark.parametrize(("function", "package"), [("pymc_model", "pymc"), ("bambi_model", "bambi")])
def test_without_the_package_the_error_says_what_to_install(
    function: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"pip install 'maxwell\[{package}\]'"):
        getattr(maxwell, function)(object())
