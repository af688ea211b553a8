"""Collecting worlds: which are made, what stands is not made again, and one that fails stops no other."""

from __future__ import annotations

import json

import pytest

from flows import evaluation
from ml.integrity.evaluate.record import code_version, world_path
from ml.integrity.evaluate.worlds import POWER_DIVERSIONS, WorldSpec, worlds
from tests.unit.ml.integrity.evaluate.made_up import flag, part, record
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", threads=1)


def made_up(spec):
    """A record of this world."""
    return record(spec.kind, seed=spec.seed) | {"world": spec.as_json()}


@pytest.fixture
def made(monkeypatch):
    """The worlds that were made, in order; those of seed 3 fail."""
    names = []

    def run_world(settings, spec, place):
        assert place.is_dir()
        names.append(spec.name)
        if spec.seed == 3:
            raise ValueError("no such draw")
        return made_up(spec)

    monkeypatch.setattr(evaluation, "run_world", run_world)
    return names


def test_seeds_and_kinds_are_words():
    assert [spec.name for spec in evaluation.chosen_worlds("2", "null, standard", 1000, 6)] == [
        "standard-0001",
        "null-0001",
        "standard-0002",
        "null-0002",
    ]
    assert [spec.seed for spec in evaluation.chosen_worlds("101-103", "null", 1000, 6)] == [101, 102, 103]


@pytest.mark.parametrize(
    ("seeds", "kinds", "said"),
    [
        ("many", "null", "names no seeds"),
        ("5-2", "null", "names no seeds"),
        ("0", "null", "names no seeds"),
        ("2", "standart", "did you mean 'standard'"),
        ("2", " , ", "no kind of world"),
    ],
)
def test_words_that_mean_nothing_are_refused(seeds, kinds, said):
    with pytest.raises(UsageProblem, match=said):
        evaluation.chosen_worlds(seeds, kinds, 1000, 6)


def test_a_world_on_record_is_not_made_again(settings, tmp_path, made):
    specs = worlds((1, 2), ("null",), 1000, 6)
    evaluation.collect(settings, tmp_path, specs[:1])
    told = []
    paths = evaluation.collect(settings, tmp_path, specs, told=lambda *said: told.append(said))
    assert made == ["null-0001", "null-0002"]
    assert told == [(2, 2, "null-0002", 1.0)]
    assert [json.loads(path.read_text())["world"]["seed"] for path in paths] == [1, 2]


def test_a_world_of_another_size_is_made_again(settings, tmp_path, made):
    evaluation.collect(settings, tmp_path, worlds((1,), ("null",), 1000, 6))
    evaluation.collect(settings, tmp_path, worlds((1,), ("null",), 2000, 6))
    assert made == ["null-0001", "null-0001"]


def test_a_world_that_fails_stops_no_other_and_is_told_at_the_end(settings, tmp_path, made):
    specs = worlds((3, 4), ("null",), 1000, 6)
    with pytest.raises(TidewaiterError, match=r"null-0003.*no such draw"):
        evaluation.collect(settings, tmp_path, specs)
    assert not world_path(tmp_path, specs[0]).exists()
    assert world_path(tmp_path, specs[1]).exists()


def test_records_are_those_of_the_present_code_before_others(tmp_path, caplog):
    for version, seeds in (("other", (1, 2, 3)), (code_version(), (1,))):
        folder = tmp_path / version
        folder.mkdir()
        for seed in seeds:
            spec = WorldSpec("null", seed)
            (folder / f"{spec.name}.json").write_text(json.dumps(made_up(spec)))
    version, found = evaluation.read_records(tmp_path)
    assert (version, len(found)) == (code_version(), 1)
    (tmp_path / version / "null-0001.json").unlink()
    version, found = evaluation.read_records(tmp_path)
    assert (version, len(found)) == ("other", 3)
    assert "are of version other" in caplog.text


def test_without_a_record_nothing_is_written(tmp_path):
    with pytest.raises(UsageProblem, match="no world is on record"):
        evaluation.write(tmp_path, tmp_path, WorldSpec("null", 1, 1000))


def test_the_page_shows_every_table_and_what_was_not_reached(tmp_path):
    folder = tmp_path / code_version()
    folder.mkdir()
    pairs = tuple(
        part("S6", "pair", f"b{number}", f"i{number}", diversion=diversion)
        for number, diversion in enumerate(POWER_DIVERSIONS)
    )
    seen = flag("A1", "broker-inspector pair", "b5", "i5")
    for kind, parts, flags in (
        ("standard", pairs, (seen,)),
        ("null", (), (seen,)),
        ("decoys", (), ()),
        ("power", pairs, (seen,)),
    ):
        world = record(kind, parts, flags)
        (folder / f"{kind}-0001.json").write_text(json.dumps(world))
    page, reached = evaluation.write(tmp_path, None, WorldSpec("null", 1, 1000))
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "detection.md"
    assert "| A1 | S6 | pair | 20 % | 1/1 = 100% (3% to 100%) |" in text
    assert "| A1 | 5% | 1/1 = 100% (3% to 100%) | 0/1 = 0% (0% to 98%) | 1 |" in text
    assert "{{" not in text
    assert (tmp_path / "pictures" / "detection-power.png").stat().st_size > 10_000
    missed = [one for one in reached if one.state == "open"]
    assert any("nothing planted" in one.what and "not A1 1/1" in one.reached for one in missed)
    assert all(f"- {one.what}: " in text for one in missed)
    figures = json.loads((tmp_path / "detection.json").read_text(encoding="utf-8"))
    assert {len(figures[name]) > 0 for name in ("targets", "recall", "discoveries", "quiet", "power")} == {
        True
    }
