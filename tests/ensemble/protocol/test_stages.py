"""The stages as values: what they say of themselves, and the laws that they keep."""

import pickle

import pytest

from ensemble.protocol.stages import STAGES, stage_named


def test_keys_of_stages_are_the_numbers_that_they_always_had():
    """Draws depend on them."""
    assert {stage.name: stage.key for stage in STAGES} == {"initialise": 0, "scout": 1, "equilibrate": 2, "sample": 3}


def test_a_stage_travels_by_its_name():
    for stage in STAGES:
        assert stage_named(stage.name) is stage
        assert pickle.loads(pickle.dumps(stage)) is stage
    with pytest.raises(ValueError, match="no stage 'warmup'; stages are initialise, scout"):
        stage_named("warmup")


def test_what_is_recorded_is_exact_frozen_and_counted():
    """The law of exactness, as the stages have it."""
    for stage in STAGES:
        assert not stage.records or (stage.must_be_exact and stage.accumulates and not stage.adapts)
        assert not (stage.relocates or stage.scouts) or not stage.must_be_exact
    assert [stage.name for stage in STAGES if stage.records] == ["sample"]
