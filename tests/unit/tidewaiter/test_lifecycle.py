"""The life of an extract: drift, trial, replay, erasure. Nothing lands twice, nothing erased comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tidewaiter.contracts import CsvFormat
from tidewaiter.erasures import add_erasure, load_erasures
from tidewaiter.errors import TidewaiterError
from tidewaiter.landing.drift import SchemaDrift
from tidewaiter.landing.erase import find_lines
from tidewaiter.landing.raw import kept_raw
from tidewaiter.landing.replay import replay_extract
from tidewaiter.landing.scrub import _Scrubber, is_removed
from tidewaiter.landing.trial import compare_file, try_landing
from tidewaiter.pseudonyms import Pseudonymiser

ROWS = (
    "D1,1,2024-01-01,K,010121,acme,10",
    "D2,1,2024-01-02,K,010121,other,x",
    "D3,1,2024-01-03,K,010121,acme,y",
    "D4,1,2024-01-04,K,010121,other,40",
)
NOW = datetime(2026, 1, 1)


@pytest.fixture
def text(landing_header):
    return "\n".join((landing_header, *ROWS)) + "\n"


def erasing(bench, identifier="acme"):
    """Put a subject of member XT on the list and return a bench whose key knows of it."""
    add_erasure(bench.settings.paths, "XT", "importer", identifier, NOW, {})
    erasures = load_erasures(bench.settings.paths, {})
    return replace(bench.elsewhere(), pseudonymiser=Pseudonymiser(b"k" * 32, erasures))


def test_a_trial_counts_and_shows_but_touches_nothing(bench, contract_of, text, tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text(text)
    contract = contract_of(refuse_above_quarantined_share=0.1)
    trial = try_landing(sample, contract.extracts[0], contract, bench.settings, rows=1)
    assert (trial.rows_in, trial.rows_sound, trial.is_refused, trial.share_landed) == (4, 2, True, 0.0)
    (finding,) = trial.findings
    assert (finding.field, finding.columns, finding.rows, finding.line) == (
        "declared_value",
        ("value",),
        2,
        3,
    )
    assert finding.example == "x"
    assert trial.rows[0]["declaration_id"] == "D1"
    assert trial.rows[0]["importer_id"] not in ("acme", None)
    assert not bench.settings.home.exists()


def test_drift_names_what_is_missing_renamed_added_and_retyped(bench, contract_of, text, tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text(text.replace("office", "customs_office").replace("2024-01-0", "0/1/2024-"))
    contract = contract_of()
    drift, retyped = compare_file(sample, contract.extracts[0], contract, bench.settings)
    (missing,) = drift.stops
    assert (missing.columns, missing.fields, missing.may_be) == (
        ("office",),
        ("office_code",),
        ("customs_office",),
    )
    assert drift.added == ("customs_office",)
    assert [finding.field for finding in retyped][:1] == ["registered_at"]
    assert not bench.settings.home.exists()


def test_a_missing_column_stops_the_extract_and_lands_nothing(bench, text):
    with pytest.raises(SchemaDrift, match="column 'office' is missing"):
        bench.land(text.replace("office", "bureau"))
    assert not list(bench.settings.paths.landing.glob("*/member=XT/*/receipt.json"))


def test_replay_lands_again_under_a_mended_contract_without_a_duplicate(bench, contract_of, text):
    first = bench.land(text)
    mended = contract_of({"declared_value": {"expression": 'coalesce(try_cast("value" as int), 0)'}})
    again = replay_extract(first.receipt, mended, bench.settings, bench.pseudonymiser)
    assert (first.receipt.rows_landed, again.rows_landed, again.rows_quarantined) == (2, 4, 0)
    assert (again.received_at, again.extract_id) == (first.receipt.received_at, first.receipt.extract_id)
    assert len(list(bench.settings.paths.landing.glob("*/member=XT/extract=*"))) == 1
    assert replay_extract(again, mended, bench.settings, bench.pseudonymiser) == again


def test_an_erased_subject_lands_in_no_new_file_and_its_bytes_are_not_kept(bench, text):
    landed = erasing(bench).land(text)
    assert landed.column("declaration_id") == ["D4"]
    assert [row["source_line"] for row in landed.quarantine] == [3]
    assert (landed.receipt.rows_in, landed.receipt.rows_erased) == (2, 2)
    assert landed.receipt.reasons == {"declared_value: not a decimal number": 1}


def test_the_kept_bytes_of_an_erased_subject_are_empty_lines(bench, text):
    there = erasing(bench)
    landed = there.land(text)
    raw = kept_raw("XT", landed.receipt.source_sha256, there.settings.paths)
    assert raw.path.read_text().splitlines() == [text.splitlines()[0], "", ROWS[1], "", ROWS[3]]
    again = there.land(text)
    assert again.receipt == landed.receipt


def test_bytes_with_rows_between_cr_alone_are_removed(bench, text):
    there = erasing(bench)
    mixed = text.replace("\n", "\r", 2)[::-1].replace("\r", "\n", 1)[::-1]
    landed = there.land(mixed + "\r\n")
    assert landed.column("declaration_id") == ["D4"]
    assert kept_raw("XT", landed.receipt.source_sha256, there.settings.paths) is None


def test_bytes_that_cannot_be_mended_are_removed_and_the_source_is_left_alone(
    bench, contract_of, text, tmp_path
):
    import duckdb

    there = erasing(bench)
    sample = tmp_path / "sample.parquet"
    source = tmp_path / "sample.csv"
    source.write_text(text)
    duckdb.sql(f"copy (from read_csv('{source}', all_varchar = true)) to '{sample}' (format parquet)")
    contract = contract_of(files=["*.parquet"], format={"kind": "parquet"})
    landed = there.land_path(sample, contract)
    assert (landed.receipt.rows_in, landed.receipt.rows_erased) == (2, 2)
    assert kept_raw("XT", landed.receipt.source_sha256, there.settings.paths) is None
    assert is_removed(there.settings.paths.raw / "XT" / landed.receipt.source_sha256)
    assert sample.exists()
    with pytest.raises(TidewaiterError, match="no longer kept"):
        replay_extract(landed.receipt, contract, there.settings, there.pseudonymiser)


def test_a_pseudonym_is_found_in_landed_and_quarantined_rows(bench, text):
    landed = bench.land(text)
    pseudonym = bench.pseudonymiser.pseudonymise("XT", "importer", ["ACME "])[0]
    assert find_lines(landed.folder, "declaration_items", [pseudonym], bench.settings) == {2, 4}


def test_a_lost_erasure_key_is_an_error_and_not_a_new_key(bench):
    add_erasure(bench.settings.paths, "XT", "importer", "acme", NOW, {})
    (bench.settings.paths.keys / "erasure.key").unlink()
    with pytest.raises(TidewaiterError, match="put the key back"):
        load_erasures(bench.settings.paths, {})
    with pytest.raises(TidewaiterError, match="put the key back"):
        add_erasure(bench.settings.paths, "XT", "importer", "other", NOW, {})


def test_the_list_says_nobody_by_name(bench):
    add_erasure(bench.settings.paths, "XT", "importer", "acme", NOW, {})
    add_erasure(bench.settings.paths, "XT", "importer", " ACME", NOW, {})
    (listed,) = bench.settings.paths.erasures.glob("member=*.json")
    assert "acme" not in listed.read_text().lower()
    assert listed.read_text().count('"token"') == 1


_VALUES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00"), max_size=6)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(_VALUES, _VALUES, st.booleans()), min_size=1, max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    gone=st.sets(st.integers(0, 7)),
)
def test_scrubbing_empties_whole_records_and_no_byte_of_another(tmp_path_factory, rows, end, gone):
    """Records may run over several lines; the lines of the others keep their numbers and bytes."""
    folder = tmp_path_factory.mktemp("scrub")
    records, starts, line = [], [], 1
    for first, second, is_long in rows:
        inner = f"{first}{end}{second}" if is_long else first + second
        record = '"' + inner.replace('"', '""') + '",x'
        records.append(record)
        starts.append(line)
        line += record.count("\n") + 1
    gone = {number for number in gone if number < len(records)}
    source, target = folder / "a", folder / "b"
    source.write_bytes(end.join(records).encode("latin-1"))
    scrubber = _Scrubber(CsvFormat(encoding="latin-1"), frozenset(starts[n] for n in gone), frozenset(), None)
    scrubber.copy(source, target)
    expected = [
        end * record.count("\n") if number in gone else record for number, record in enumerate(records)
    ]
    assert target.read_bytes() == end.join(expected).encode("latin-1")
    assert scrubber.emptied == {starts[number] for number in gone}
