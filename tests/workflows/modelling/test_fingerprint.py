"""Fingerprints: equal for the same model, and what differs is named."""

import json
from pathlib import Path

import pytest

from tests.support.models import users_models
from workflows.modelling.errors import ModelError
from workflows.modelling.fingerprint import compare_fingerprints, fingerprint, require_same
from workflows.modelling.registry import build


@pytest.fixture(autouse=True)
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users_models.write(tmp_path, monkeypatch)


def test_fingerprints_are_equal_for_the_same_model_and_name_what_differs() -> None:
    model = build("users_models:builder", {})
    recorded = json.loads(json.dumps(fingerprint(model)))
    assert compare_fingerprints(recorded, fingerprint(build("users_models:builder", {}))) == []
    require_same(recorded, model)
    other = build("users_models:builder", {"shift": 1e-9})
    differences = compare_fingerprints(recorded, fingerprint(other))
    assert any(line.startswith("data.['y'].sha256") for line in differences)
    with pytest.raises(ModelError, match=r"is not the one that was recorded: .*start a new run"):
        require_same(recorded, other)
    assert compare_fingerprints(recorded, fingerprint(build("users_models:plain", {})))


def test_terms_in_fingerprints_may_differ_by_rounding_only() -> None:
    single = {"terms": {"x": 1.0, "y": 1.0}, "single": ["y"]}
    assert compare_fingerprints(single, single | {"terms": {"x": 1.0, "y": 1.0 + 1e-6}}) == []
    assert len(compare_fingerprints(single, single | {"terms": {"x": 1.0 + 1e-6, "y": 1.0 + 1e-3}})) == 2
    recorded = {"terms": {"y": -100.0}}
    assert compare_fingerprints(recorded, {"terms": {"y": -100.0 * (1 + 5e-11)}}) == []
    assert len(compare_fingerprints(recorded, {"terms": {"y": -100.0 * (1 + 2e-10)}})) == 1
    assert compare_fingerprints(recorded, {"terms": {}}) == ["terms.y was recorded and is gone"]
