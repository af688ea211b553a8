"""Signals, dossiers and who may see them: on record first, kept apart, forgotten with a person."""

from __future__ import annotations

import stat
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.access import access_log, read_accesses
from flows.cli import app
from flows.dossiers import forget, forget_everybody, purge_dossiers, write_dossier
from flows.identification import identify
from flows.integrity_reading import DUCKDB_FILE, publish_signals, published_set, read_entities, write_funnels
from ml.integrity.signals import SIGNAL_SCHEMA
from ml.integrity.store import SignalStore, read_signals
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.marts import mart_path
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings

BROKER, INSPECTOR, OTHER = "b" * 32, "1" * 32, "2" * 32


def signal(**more: Any) -> dict[str, Any]:
    return {
        "indicator_id": "A1",
        "member_iso2": "XA",
        "unit_kind": "broker-inspector pair",
        "unit_id": BROKER,
        "counterpart_id": INSPECTOR,
        "office_id": "P",
        "period_start": date(2024, 1, 1),
        "period_end": date(2024, 3, 31),
        "observed": 60.0,
        "expected": 20.0,
        "observed_unit": "files",
        "effect_name": "excess share",
        "effect_size": 0.2,
        "effect_low": 0.1,
        "effect_high": 0.3,
        "effect_unit": "share of the broker's assigned files",
        "tail": "high",
        "test_name": "exact",
        "p_value": 1e-9,
        "q_value": 1e-7,
        "support": 200.0,
        "support_minimum": 30.0,
        "has_support": True,
        "is_flagged": True,
        "severity": "priority",
        "status": "computed",
        "first_flagged_on": date(2024, 3, 31),
        "revenue_at_stake_usd": 1234.0,
        "revenue_low_usd": 400.0,
        "revenue_high_usd": 2000.0,
        "innocent_explanations": ["A desk <of its own>."],
        "checks": ["Compare the roster."],
        "inputs_used": ["declaration_items.declarant_id"],
        "code_version": "abc",
        "computed_at": datetime(2024, 4, 1),
    } | more


def plain_pairs() -> list[dict[str, Any]]:
    return [
        signal(
            unit_id=f"{number:032d}",
            counterpart_id=OTHER,
            observed=19.0 + number % 3,
            effect_size=0.0,
            p_value=0.5,
            q_value=1.0,
            is_flagged=False,
            severity="none",
            first_flagged_on=None,
            revenue_at_stake_usd=None,
            revenue_low_usd=None,
            revenue_high_usd=None,
        )
        for number in range(8)
    ]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TIDEWAITER_HOME", str(tmp_path))
    monkeypatch.delenv("TIDEWAITER_PSEUDONYM_KEY", raising=False)
    settings = Settings(home=tmp_path, threads=1)
    below = signal(
        indicator_id="B1",
        unit_kind="inspector",
        unit_id=INSPECTOR,
        counterpart_id=None,
        p_value=None,
        q_value=None,
        is_flagged=False,
        status="below support",
        reason="3 examined files, fewer than needed",
        has_support=False,
    )
    lacking = signal(
        indicator_id="D2",
        unit_kind="flow",
        unit_id=None,
        counterpart_id=None,
        p_value=None,
        q_value=None,
        is_flagged=False,
        status="not computable",
        reason="not computable: needs aggregate_flows",
        period_end=None,
    )
    store = SignalStore(settings, "XA", "A1")
    store.write(
        "2024-01_2024-03", "key", pa.Table.from_pylist([signal(), *plain_pairs()], schema=SIGNAL_SCHEMA)
    )
    for indicator, row in (("B1", below), ("D2", lacking)):
        table = pa.Table.from_pylist([row], schema=SIGNAL_SCHEMA)
        SignalStore(settings, "XA", indicator).write("2024-01_2024-03", "key", table)
    trade = mart_path(settings.paths, "trade", "declaration_items")
    trade.parent.mkdir(parents=True)
    items = [
        {
            "member_iso2": "XA",
            "declaration_id": f"D{number}",
            "registered_date": date(2024, 2, number + 1),
            "office_code": "P",
            "declarant_id": BROKER,
            "importer_id": "c",
            "inspector_initial_id": INSPECTOR if number else OTHER,
            "inspector_final_id": INSPECTOR if number else OTHER,
            "hs6": "610910",
            "declared_value_usd": 100.0,
            "lane_initial_code": "RED",
            "lane_final_code": "YELLOW",
            "inspection_result_code": "CONFORM",
            "recovered_tax_usd": 0.0,
            "assigned_at": datetime(2024, 2, 1, 8),
            "released_at": datetime(2024, 2, 1, 20),
        }
        for number in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(items), trade)
    return settings


class Page(HTMLParser):
    """Collects what a page says and what it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append(tag)
        self.loads += [
            value for name, value in attrs if name in ("src", "href") and not value.startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_a_dossier_says_what_it_must_and_loads_nothing(settings: Settings) -> None:
    done = write_dossier(settings, BROKER[:10], "case 7, assignment")
    page = Page(done.path)
    for said in (
        "To be checked",
        "case 7, assignment",
        "60 files, where 20 would be expected",
        "A desk <of its own>.",
        "Compare the roster.",
        "1,234 USD (400 to 2,000)",
        "D2",
        "D1",
        "not computable: needs aggregate_flows",
        "No measure against anybody may rest on this page alone",
    ):
        assert said in page.text, said
    assert page.loads == []
    # Only files of the broker with the inspector of the signal, within its period.
    assert "D0" not in page.text.split()
    words = page.text.lower()
    assert [word for word in ("corrupt", "guilty", "fraudster", "suspect") if word in words] == []
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert done.severity == "priority"


def test_a_supervisors_dossier_lists_the_declarations_moved(settings: Settings) -> None:
    """No declaration names a supervisor: they come from the hand-over of draws."""
    supervisor = "5" * 32
    moved = signal(
        indicator_id="A4", unit_kind="supervisor", unit_id=supervisor, counterpart_id=None, office_id=None
    )
    store = SignalStore(settings, "XA", "A4")
    store.write("2024-01_2024-03", "key", pa.Table.from_pylist([moved], schema=SIGNAL_SCHEMA))
    draws = mart_path(settings.paths, "integrity", "integrity_draws")
    draws.parent.mkdir(parents=True)
    rows = [
        ("D1", "importers and supervisors", supervisor),
        ("D2", "importers and supervisors", None),
        ("D0", "brokers, importers and inspectors", supervisor),
    ]
    names = ("declaration_id", "draw", "officer_id")
    pq.write_table(
        pa.Table.from_pylist([{"member_iso2": "XA"} | dict(zip(names, row, strict=True)) for row in rows]),
        draws,
    )
    text = Page(write_dossier(settings, supervisor, "case 8, overrides").path).text
    assert "D1 2024-02-02" in text
    assert "of 1 in all" in text
    # The look has twelve months, the test the last three of them.
    assert "in the last 3 months of 2024-01-01 to 2024-03-31" in text


@pytest.mark.parametrize(("p_value", "is_told"), [(1e-9, False), (0.02, True)])
def test_a_signal_that_is_lost_among_all_entities_is_said_to_stand_by_itself(
    settings: Settings, p_value: float, is_told: bool
) -> None:
    rows = [signal(p_value=p_value), *plain_pairs()]
    SignalStore(settings, "XA", "A1").write(
        "2024-01_2024-03", "key", pa.Table.from_pylist(rows, schema=SIGNAL_SCHEMA)
    )
    text = Page(write_dossier(settings, BROKER, "periodic review").path).text

    assert ("All indicators together do not stand out" in text) is is_told


def test_a_stake_of_nothing_is_not_told(settings: Settings) -> None:
    none = {"revenue_at_stake_usd": 0.0, "revenue_low_usd": 0.0, "revenue_high_usd": 0.0}
    SignalStore(settings, "XA", "A1").write(
        "2024-01_2024-03", "key", pa.Table.from_pylist([signal(**none)], schema=SIGNAL_SCHEMA)
    )
    text = Page(write_dossier(settings, BROKER, "periodic review").path).text

    assert "not told possibly at stake" in text
    assert "0 USD" not in text


def test_every_view_is_on_record_before_it_is_shown(settings: Settings) -> None:
    read_entities(settings, ["XA"], "periodic review", bands=("priority",))
    write_dossier(settings, INSPECTOR, "case 7, assignment", case_reference="7")
    signals, dossier = read_accesses(settings)
    assert set(signals["entities"]) == {BROKER, INSPECTOR}
    assert (dossier["action"], dossier["entities"], dossier["case"]) == ("dossier", [INSPECTOR], "7")


def test_without_a_purpose_or_a_record_there_is_no_dossier(settings: Settings) -> None:
    with pytest.raises(UsageProblem, match="why"):
        write_dossier(settings, BROKER, "")
    access_log(settings).mkdir()
    with pytest.raises(TidewaiterError, match="nothing is shown"):
        write_dossier(settings, BROKER, "case 7, assignment")
    assert not list(settings.paths.integrity.rglob("*.html"))


def test_a_beginning_that_names_several_or_nobody_is_refused(settings: Settings) -> None:
    for beginning, match in (("0" * 10, "begins 8"), ("f" * 10, "no person"), ("b", "too short")):
        with pytest.raises(UsageProblem, match=match):
            write_dossier(settings, beginning, "case 7, assignment")


def test_the_set_stands_apart_and_closed(settings: Settings) -> None:
    folder = publish_signals(settings)
    publish_signals(settings)  # again: the standing one is replaced
    assert not (settings.paths.published / "integrity").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with duckdb.connect(folder / DUCKDB_FILE, read_only=True) as connection:
        assert connection.execute("select count(*) from integrity.signals").fetchone() == (11,)
        bands = connection.execute("select entity_id, severity from integrity.entities").fetchall()
        silent = connection.execute(
            "select table_name, column_name from duckdb_columns()"
            " where schema_name = 'integrity' and comment is null"
        ).fetchall()
    assert silent == []
    assert (BROKER, "priority") in bands


def test_dossiers_go_on_their_day_and_those_of_a_case_with_it(settings: Settings) -> None:
    loose = write_dossier(settings, BROKER, "periodic review")
    kept = write_dossier(settings, INSPECTOR, "case 7, assignment", case_reference="7")
    today = datetime.now(UTC).date()
    assert purge_dossiers(settings, today + timedelta(days=365)) == []
    assert purge_dossiers(settings, today + timedelta(days=366)) == [loose.path.stem]
    assert not loose.path.exists()
    assert kept.path.exists()
    assert purge_dossiers(settings, today, closed_case="8") == []
    assert purge_dossiers(settings, today, closed_case="7") == [kept.path.stem]
    assert not list(settings.paths.integrity.rglob("*.html"))
    assert read_accesses(settings)[-1]["removed"] == [kept.path.stem]


def test_who_is_behind_a_pseudonym_needs_key_list_and_second_person(settings: Settings) -> None:
    (pseudonym,) = load_pseudonymiser(settings.paths).pseudonymise("XA", "inspector", ["OFF-17"])
    assert pseudonym
    register = ["OFF-16", " off-17 ", "OFF-18"]
    assert identify(settings, "XA", pseudonym, register, "case 7, assignment", "M. Diallo") == "off-17"
    assert identify(settings, "XB", pseudonym, register, "case 7, assignment", "M. Diallo") is None
    first, second = read_accesses(settings)
    assert (first["was_found"], second["was_found"]) == (True, False)
    assert "off-17" not in access_log(settings).read_text().lower()
    for approved_by in ("", first["who"], first["who"].upper()):
        with pytest.raises(UsageProblem, match="second person"):
            identify(settings, "XA", pseudonym, register, "case 7, assignment", approved_by)
    with pytest.raises(UsageProblem, match="no candidates"):
        identify(settings, "XA", pseudonym, [" "], "case 7, assignment", "M. Diallo")


def test_an_erased_person_is_in_no_signal_and_no_dossier(settings: Settings) -> None:
    publish_signals(settings)
    write_dossier(settings, INSPECTOR, "case 7, assignment", case_reference="7")
    assert forget(settings, "XB", INSPECTOR) == {}
    assert forget(settings, "XA", INSPECTOR) == {"integrity signals": 2, "integrity dossiers": 1}
    left = read_signals(settings, ["XA"])
    assert INSPECTOR not in {*left["unit_id"].to_pylist(), *left["counterpart_id"].to_pylist()}
    for table in ("signals", "entities"):
        assert INSPECTOR not in str(pq.read_table(published_set(settings) / f"{table}.parquet").to_pylist())
    assert not list(settings.paths.integrity.rglob("*.html"))


def test_after_a_rotation_only_the_log_is_left(settings: Settings) -> None:
    publish_signals(settings)
    write_dossier(settings, BROKER, "periodic review")
    forget_everybody(settings, "pseudonym key abc rotated")
    assert [path.name for path in settings.paths.integrity.iterdir()] == [access_log(settings).name]
    assert read_accesses(settings)[-1]["action"] == "remove all"


def test_what_is_counted_apart_is_drawn_apart(settings: Settings, tmp_path: Path) -> None:
    slow = [row | {"observed_unit": "slow files"} for row in plain_pairs()]
    SignalStore(settings, "XA", "A1").write(
        "2024-01_2024-03", "key", pa.Table.from_pylist([*plain_pairs(), *slow], schema=SIGNAL_SCHEMA)
    )
    names = [path.stem for path in write_funnels(settings, None, "A1", tmp_path / "plots")]
    assert names == ["A1-XA-broker-inspector-pair-files", "A1-XA-broker-inspector-pair-slow-files"]


def test_funnels_show_the_last_look(settings: Settings, tmp_path: Path) -> None:
    (picture,) = write_funnels(settings, None, "A1", tmp_path / "plots")
    assert picture.name == "A1-XA-broker-inspector-pair.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["signals", "--purpose", "periodic review"], "to be checked first"),
        (["signals", "--purpose", "periodic review", "-i", "a1"], "0.2"),
        (["catalogue"], "A1"),
        (["catalogue", "a1"], "What else may explain it"),
        (["accesses"], "Accesses"),
        (["purge"], "Dossiers removed"),
        (["dossier", BROKER, "--purpose", "periodic review"], "Dossier: "),
    ],
)
def test_commands_print_for_people(settings: Settings, words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["integrity", *words])
    assert result.exit_code == 0, result.output
    assert said in result.output
