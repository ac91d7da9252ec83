"""Ten thousand bad inputs: each is taken, or refused with a message; none ends in a traceback, and none hangs."""

import inspect
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import maxwell
from tests.support.experiments import counts, sheet
from tests.support.nasty import TEXTS, Accepted, call, command_line, damaged, text, value
from workflows.modelling.registry import build
from workflows.settings.errors import section_of
from workflows.settings.loading import make_settings
from workflows.settings.schema import Settings
from workflows.settings.source import shipped_configs

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow
Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_is_sampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run that would begin ends there."""

    def begin(*_: object, **__: object) -> None:
        raise Accepted

    monkeypatch.setattr("workflows.sampling.sample.sample", begin)
    monkeypatch.setattr("workflows.sampling.resume.resume", begin)
    monkeypatch.chdir(tmp_path)


def keys() -> list[str]:
    """Every setting, with dots."""
    found = ["seed", "model.name", "model.anything", "nonsense", "goals.nonsense"]
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        found += [name] if section is None else [name, *(f"{name}.{key}" for key in section.model_fields)]
    return found


def told(what: str, outcomes: Counter[str], capsys: Capsys) -> None:
    """Print the counts; nothing else may have become of any input."""
    assert not (amiss := sorted(set(outcomes) - {"accepted", "refused", "done"})), "\n".join(amiss)
    with capsys.disabled():
        sys.stdout.write(f"\n{outcomes.total():,} {what}: {dict(outcomes)}; 0 tracebacks, 0 hangs\n")


def as_text(given: Any) -> str:
    """A value as people type it, mostly."""
    return (
        str(given)
        if isinstance(given, str)
        else yaml.safe_dump(given, default_flow_style=True).replace("\n...\n", "").strip()
    )


def test_settings_as_texts_and_as_dictionaries(capsys: Capsys) -> None:
    rng, names, outcomes = random.Random(1), keys(), Counter[str]()
    for number in range(4000):
        changes = [(rng.choice(names), value(rng)) for _ in range(rng.choice([1, 1, 2, 4]))]
        if number % 2:
            overrides = [f"{name}={as_text(given)}" for name, given in changes]
            outcomes[command_line(["run", "schools", *overrides], capsys)] += 1
        else:
            outcomes[
                call(lambda changes=changes: make_settings({"model": {"name": "schools"}}, dict(changes)), changes)
            ] += 1
    assert min(outcomes["accepted"], outcomes["refused"]) > 100
    told("changed settings", outcomes, capsys)


def test_settings_files(tmp_path: Path, capsys: Capsys) -> None:
    rng, outcomes = random.Random(2), Counter[str]()
    shipped = [(ROOT / "configs" / f"{name}.yaml").read_bytes() for name in shipped_configs()]
    for number in range(2000):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(damaged(rng.choice(shipped), rng))
        outcomes[command_line(["run", str(file)], capsys)] += 1
        file.unlink()
    assert min(outcomes["accepted"], outcomes["refused"]) > 100
    told("damaged settings files", outcomes, capsys)


def test_command_lines(capsys: Capsys) -> None:
    rng, outcomes = random.Random(3), Counter[str]()
    for _ in range(2000):
        first = [
            rng.choice(("run", "resume", "inspect", "verify", "pack", "export", "report", "table", "check", "models"))
        ]
        arguments = [rng.choice([rng.choice(TEXTS), rng.choice(TEXTS), text(rng)]) for _ in range(rng.randrange(5))]
        outcomes[command_line([*(first if rng.random() < 0.8 else []), *arguments], capsys)] += 1
    assert outcomes["refused"] > 100
    told("command lines", outcomes, capsys)


def test_arguments_of_models(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    def built(settings: Settings, *_: object, **__: object) -> None:
        build(settings.model.name, settings.model.keys)
        raise Accepted

    monkeypatch.setattr("workflows.sampling.sample.sample", built)
    rng, outcomes = random.Random(4), Counter[str]()
    names = ["schools", "scorpio", "rri", "bond", "genes", "glmm", "census"]
    parameters = {name: list(inspect.signature(getattr(maxwell.models, name)).parameters) for name in names}
    for number in range(1000):
        name = rng.choice(names)
        given = {rng.choice([*parameters[name], "nonsense"]): value(rng) for _ in range(rng.choice([1, 1, 2, 3]))}
        # Models of a million subjects are allowed, and take their time.
        given = {key: 7 if isinstance(x, int | float) and 1000 < x < 1e9 else x for key, x in given.items()}
        if number % 2:
            changes = [f"model.{key}={as_text(setting)}" for key, setting in given.items()]
            outcomes[command_line(["run", name, *changes], capsys)] += 1
        else:
            outcomes[call(lambda name=name, given=given: build(name, given), (name, given))] += 1
    assert outcomes["refused"] > 100
    told("arguments of models", outcomes, capsys)


def spoiled(frame: pd.DataFrame, rng: random.Random) -> Any:
    """A table with something wrong in it."""
    out = frame.astype(object)
    row, column = rng.randrange(len(out)), rng.randrange(out.shape[1])
    kinds: list[Callable[[], Any]] = [
        lambda: out.iloc[:0],
        lambda: out.iloc[:, :0],
        lambda: out.T,
        lambda: out.drop(index=out.index[row]),
        lambda: out.drop(columns=out.columns[column]),
        lambda: pd.concat([out, out.iloc[[row]]]),
        lambda: pd.concat([out, out.iloc[:, [column]]], axis=1),
        lambda: out.rename(columns={out.columns[column]: value(rng) if rng.random() < 0.3 else text(rng)}),
        lambda: out.rename(index={out.index[row]: text(rng)}),
        lambda: out.set_index(pd.Index([None] * len(out))),
        lambda: out.reset_index(drop=True),
        lambda: out.set_axis(pd.MultiIndex.from_product([["a"], out.columns]), axis=1),
        lambda: out.to_numpy(),
        lambda: out.iloc[::-1],
        lambda: out.mask(np.random.default_rng(row).random(out.shape) < 0.3),
        lambda: -out if out.map(lambda x: isinstance(x, int)).to_numpy().all() else out,
        lambda: value(rng),
    ]
    if rng.random() < 0.5:
        given = value(rng)
        out.iat[row, column] = given if np.isscalar(given) or given is None else str(given)
        return out
    return rng.choice(kinds)()


def test_tables_of_genes(capsys: Capsys) -> None:
    rng, outcomes = random.Random(5), Counter[str]()
    designs = [
        "~ donor + drug",
        "~ drug",
        "~ donor * drug",
        "~ age",
        "~ 0 + drug",
        "~",
        "drug ~ age",
        "~ nothing",
        "~ drug +",
        "1",
    ]
    for number in range(1000):
        which = number % 4
        reads = spoiled(counts(), rng) if which in (0, 2) else counts()
        samples = spoiled(sheet(), rng) if which in (1, 2) else sheet()
        design = rng.choice(designs) if which != 3 else rng.choice([text(rng), value(rng), "~ " + text(rng)])
        more = {"minimum_reads": value(rng)} if rng.random() < 0.1 else {}
        outcomes[
            call(
                lambda a=reads, b=samples, c=design, d=more: maxwell.models.genes(a, b, c, **d),
                (reads, samples, design),
            )
        ] += 1
    assert min(outcomes["accepted"], outcomes["refused"]) > 20
    told("tables of genes", outcomes, capsys)
