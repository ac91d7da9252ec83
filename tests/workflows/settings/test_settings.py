"""Settings: everything that is wrong is said at once, and only what may change on resume changes."""

import json
import math
from pathlib import Path

import pytest

from ensemble.errors import MaxwellError
from workflows.settings.loading import Settings, SettingsError, describe, load_settings, make_settings, resume_settings
from workflows.settings.source import parse_yaml, shipped_configs

MODEL = {"model": {"name": "airway", "genes": 2000}}


def problems(content: dict, *overrides: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        make_settings(content, overrides)
    return caught.value.problems


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_defaults_are_those_of_the_documentation():
    settings = make_settings(MODEL)
    assert settings.model.name == "airway"
    assert settings.model.keys == {"genes": 2000}
    assert (settings.seed, settings.ensemble.replicas, settings.ensemble.superchains) == (0, 32, 8)
    assert settings.tempering.temperatures == (1.0,)
    assert settings.tempering.stages == ("equilibrate",)
    assert (settings.goals.ess, settings.goals.rhat, settings.goals.draws) == (400, "auto", 50)
    assert settings.limits.minutes is None
    assert settings.store.chains == "all"


def test_all_errors_are_listed_at_once_with_path_given_and_allowed(tmp_path):
    path = write(
        tmp_path,
        "model: {genes: 3}\nseed: -1\ngoals: {rhat: 0.9, draws: true}\nlimits: 3\ntempering: {temperatures: [2, 1]}\n"
        "ensemble: {replicas: 30}\nscout: {kernel: hmc}\nmomentum_diffusion: {step: .nan}\n",
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(path, ["round.sweeps", "=2", "store.budget_mb=[1"])
    found = caught.value.problems
    expected = [
        ("override 'round.sweeps'", "has no =", "write section.key=value"),
        ("override '=2'", "empty key", "write section.key=value"),
        ("override 'store.budget_mb=[1'", "not valid YAML", "line 1"),
        ("model.name", "missing", "maxwell models"),
        ("seed", "given -1", "a whole number from 0"),
        ("ensemble.superchains", "given 8 (the default)", "a divisor of ensemble.replicas (30) from 2, that is 2, 3"),
        ("scout.kernel", "given 'hmc'", "auto, momentum_diffusion, short or none"),
        ("momentum_diffusion.step", "given nan", "a number above 0"),
        ("tempering.temperatures", "given [2, 1]", "the first temperature must be 1.0"),
        ("goals.rhat", "given 0.9", "auto or a number above 1"),
        ("goals.draws", "given True", "a whole number from 4"),
        ("limits", "given 3", "a section with the keys sweeps, minutes"),
    ]
    assert len(found) == len(expected)
    for problem, (name, *parts) in zip(found, expected, strict=True):
        assert problem.startswith(name)
        assert all(part in problem for part in parts), problem
    assert isinstance(caught.value, MaxwellError)
    assert str(caught.value).startswith(f"12 problems in {path}:\n  - override")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("goals.es=3", "did you mean goals.ess?"),
        ("goal.ess=3", "goal: unknown key; did you mean goals?"),
        ("ess=3", "did you mean goals.ess?"),
        ("round.step=3", "did you mean momentum_diffusion.step?"),
        ("limits.xyzzy=3", "allowed here: limits.sweeps, limits.minutes"),
        ("xyzzy=3", "allowed here: model, seed, ensemble"),
    ],
)
def test_unknown_keys_name_the_nearest_one(override, part):
    (problem,) = problems(MODEL, override)
    assert "unknown key" in problem
    assert part in problem


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("ensemble.superchains=1", "given 1; allowed: a whole number from 2"),
        ("ensemble.workers=9", "auto or 1 to 8"),
        ("ensemble.workers=many", "given 'many'"),
        ("equilibrate.refine_rounds=0", "given 0; allowed: a whole number from 1"),
        ("scout.kernel=metropolis", "given 'metropolis'; allowed: auto, momentum_diffusion, short or none"),
        ("equilibrate.min_rounds=10", "unknown key; did you mean equilibrate.max_rounds?"),
        ("equilibrate.interweaving=1", "true or false"),
        ("tempering.temperatures=[]", "the first temperature must be 1.0"),
        ("tempering.temperatures=[1, 1]", "must increase strictly"),
        ("tempering.temperatures=[1, 3, 2]", "must increase strictly"),
        ("tempering.temperatures=[1, hot]", "given [1, 'hot']; allowed: a list of increasing numbers"),
        ("tempering.temperatures=[1, .inf]", "the prior: set tempering.tempers=likelihood"),
        ("tempering={hottest: .inf, rungs: 4}", "the prior: set tempering.tempers=likelihood"),
        ("tempering={temperatures: [1, .inf, .inf], tempers: likelihood}", "must increase strictly"),
        ("tempering={hottest: 1, rungs: 4}", "must be above 1.0"),
        ("tempering={hottest: 4, rungs: 1}", "allowed: null, or a whole number from 2"),
        ("tempering.hottest=4", "set both or neither"),
        ("tempering.rungs=4", "set both or neither"),
        ("tempering={hottest: 4, rungs: 3, temperatures: [1, 2]}", "lists the ladder already"),
        ("tempering.swaps=some", "given 'some'; allowed: blocks or whole"),
        ("tempering.tempers=prior", "given 'prior'; allowed: density or likelihood"),
        ("tempering.stages=[scout]", "equilibrate, sample or both"),
        ("tempering.stages=[]", "equilibrate, sample or both"),
        ("tempering.stages=[sample, sample]", "each stage may stand there once"),
        ("sample.thin=0", "allowed: a whole number from 1"),
        ("limits.minutes=0", "a number above 0, or null"),
        ("limits.sweeps=.inf", "a whole number from 1"),
        ("store.chains=12", "store.chains (chains whose draws are stored): given 12; allowed: all, or a multiple of 8"),
        ("store.chains=64", "up to 32 (ensemble.replicas)"),
        ("structure.couplings=guess", "join or refuse"),
        ("model.name=3", "given 3"),
    ],
)
def test_each_bad_value_has_its_own_sentence(override, part):
    (problem,) = problems(MODEL, override)
    assert part in problem


def test_overrides_change_one_key_each_and_parse_yaml_values():
    settings = make_settings(
        MODEL,
        [
            "limits.sweeps=1e5",
            "tempering.temperatures=[1.0, 3.5]",
            "goals={ess: 100, rhat: 1.1}",
            "model.genes=all",
            "model.options.depth=2",
            "limits.minutes=null",
            "model.name=mine:a=2",
        ],
    )
    assert settings.limits.sweeps == 100_000
    assert settings.tempering.temperatures == (1.0, 3.5)
    assert (settings.goals.ess, settings.goals.rhat, settings.goals.shared_ess) == (100, 1.1, 1000)
    assert settings.model.keys == {"genes": "all", "options": {"depth": 2}}
    assert settings.model.name == "mine:a=2"
    assert MODEL == {"model": {"name": "airway", "genes": 2000}}


def test_a_ladder_is_listed_or_made_and_survives_json():
    """Equal ratios, or (k / K)^4 to the prior, whose infinite temperature JSON cannot hold as a number."""
    made = make_settings(MODEL, ["tempering={hottest: 8, rungs: 4}"])
    assert made.tempering.ladder() == pytest.approx((1.0, 2.0, 4.0, 8.0), rel=1e-12)
    prior = make_settings(MODEL, ["tempering={hottest: .inf, rungs: 3, tempers: likelihood}"])
    assert prior.tempering.ladder() == (1.0, 16.0, math.inf)
    listed = make_settings(MODEL, ["tempering={temperatures: [1, 3, .inf], tempers: likelihood}"])
    assert listed.tempering.ladder() == (1.0, 3.0, math.inf)
    for settings in (made, prior, listed):
        stored = json.loads(json.dumps(settings.model_dump(mode="json"), allow_nan=False))
        assert resume_settings(stored).tempering == settings.tempering


def test_the_last_override_of_a_key_wins():
    assert make_settings(MODEL, ["seed=1", "seed=2"]).seed == 2


def test_yaml_reads_numbers_as_people_do_and_refuses_double_keys(tmp_path):
    assert parse_yaml("[1e5, 1E-3, 2.5, 7, 1.0e+3]") == [1e5, 1e-3, 2.5, 7, 1e3]
    with pytest.raises(SettingsError, match="line 2, column 1: the key 'seed' is given twice"):
        load_settings(write(tmp_path, "seed: 1\nseed: 2\n"))


@pytest.mark.parametrize(
    ("text", "part"),
    [("model: {name: [}", "is not valid YAML: line 1"), ("- a\n- b\n", "it must hold sections"), ("", "model.name")],
)
def test_unusable_files_are_explained(tmp_path, text, part):
    with pytest.raises(SettingsError, match=r"in .*mine\.yaml:") as caught:
        load_settings(write(tmp_path, text))
    assert part in str(caught.value)


def test_files_that_cannot_be_read_are_explained(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no file .*airway_smal.yaml.*did you mean airway_small\?"):
        load_settings(tmp_path / "airway_smal.yaml")
    with pytest.raises(SettingsError, match="shipped configs: airway, airway_cells"):
        load_settings(tmp_path / "qqqq.yaml")
    with pytest.raises(SettingsError, match="cannot be read as text"):
        load_settings(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"seed: \xff")
    with pytest.raises(SettingsError, match="cannot be read as text"):
        load_settings(tmp_path / "latin.yaml")


def test_an_empty_section_means_its_defaults(tmp_path):
    settings = load_settings(write(tmp_path, "model: {name: scorpio}\ngoals:\n  # ess: 100\n"))
    assert settings.goals.ess == 400
    assert settings.config_name == "mine"
    assert settings.default_store == Path("runs/mine.zarr")


@pytest.mark.parametrize(
    "name",
    [
        "airway_plain",
        "airway_small",
        "airway_cells",
        "alcohol",
        "alcohol_plain",
        "alcohol_small",
        "census",
        "glmm",
        "scorpio",
    ],
)
def test_shipped_configs_are_valid_and_found_by_bare_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path(name))
    assert name in shipped_configs()
    assert settings.config_name == name
    assert settings.model.name == name.split("_")[0]


def test_settings_survive_json_and_cannot_be_changed():
    settings = make_settings(MODEL, ["tempering.temperatures=[1, 3.5]", "tempering.stages=[equilibrate, sample]"])
    stored = json.loads(json.dumps(settings.model_dump(mode="json")))
    assert resume_settings(stored) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3


def stored_settings() -> dict:
    return make_settings(MODEL, ["ensemble.workers=2", "goals.ess=300"]).model_dump(mode="json")


def test_resume_may_change_goals_limits_and_workers():
    overrides = ["goals.ess=500", "goals={draws: 80}", "limits.minutes=3", "ensemble.workers=4", "ensemble.address=a:1"]
    settings = resume_settings(stored_settings(), overrides, name="mine")
    assert (settings.goals.ess, settings.goals.draws, settings.limits.minutes) == (500, 80, 3)
    assert (settings.ensemble.workers, settings.ensemble.address) == (4, "a:1")
    assert settings.config_name == "mine"
    before = make_settings(MODEL)
    assert settings.model == before.model
    assert settings.ensemble.replicas == before.ensemble.replicas


def test_resume_refuses_everything_else_and_says_what_is_stored():
    overrides = ["model.genes=3", "model.cells=true", "seed=7", "round={sweeps: 2}", "goal.ess=1", "scout=none", "x"]
    with pytest.raises(SettingsError) as caught:
        resume_settings(stored_settings(), overrides)
    assert "may set only goals.*, limits.*, ensemble.workers, ensemble.address and ensemble.start_seconds" in str(
        caught.value
    )
    expected = ["'x': has no =", "model.genes: asked for 3, the stored value is 2000", "model.cells: asked for True"]
    expected += ["seed: asked for 7, the stored value is 0", "round.sweeps: asked for 2, the stored value is 'auto'"]
    expected += ["scout: asked for 'none', the stored value is {", "goal: unknown key; did you mean goals?"]
    assert len(caught.value.problems) == len(expected)
    for part in expected:
        assert any(part in problem for problem in caught.value.problems), part


def test_resume_accepts_what_changes_nothing_and_checks_what_does():
    assert resume_settings(stored_settings(), ["seed=0", "model.genes=2000"]).seed == 0
    with pytest.raises(SettingsError, match=r"goals.ess .*: given -1"):
        resume_settings(stored_settings(), ["goals.ess=-1"])
    with pytest.raises(SettingsError, match="made by another version"):
        resume_settings({"model": {"name": "airway"}, "future": {}})


def test_auto_workers_never_exceed_the_superchains(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert make_settings(MODEL).ensemble.worker_count() == 8
    assert make_settings(MODEL, ["ensemble.workers=3"]).ensemble.worker_count() == 3
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert make_settings(MODEL).ensemble.worker_count() == 2


def test_every_key_is_described():
    text = describe()
    for section, field in Settings.model_fields.items():
        assert f"{section}" in text
        inner = getattr(field.annotation, "model_fields", {})
        for key, entry in inner.items():
            assert entry.description, f"{section}.{key}"
            assert f"  {key} (" in text


@pytest.mark.parametrize("address", ["head:6379", "10.0.0.7:1", "[fe80::1]:6379", "auto", None])
def test_addresses_of_clusters(address: str | None) -> None:
    settings = make_settings({"model": {"name": "scorpio"}, "ensemble": {"address": address}})
    assert settings.ensemble.address == address


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("http://127.0.0.1:8265", "A dashboard's address is for ray job submit"),
        ("ray://head:10001", "Ray Client (ray://) is not used"),
        ("local", "Leave it out to start one here"),
        ("head", "or null"),
        ("head:", "or null"),
        ("head:99999", "or null"),
        (":6379", "or null"),
        ("fe80::1:6379", "or null"),
        ("a head:6379", "or null"),
    ],
)
def test_addresses_that_no_cluster_has_are_refused_with_the_settings(address: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings({"model": {"name": "scorpio"}, "ensemble": {"address": address}, "goals": {"ess": -1}})
    first, second = caught.value.problems
    assert first.startswith(
        f"ensemble.address (the cluster; null: start one here): given '{address}'; allowed: host:port"
    )
    assert hint in first
    assert second.startswith("goals.ess")
