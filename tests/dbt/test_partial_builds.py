"""A build in parts gives, byte for byte, what a build of everything gives, and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

TODAY = "2024-02-20"


def _with_outcomes_before(instant: str, **others: str) -> str:
    """Items with the labels and cancellations known before an instant, and other columns replaced."""
    columns = others | {
        name: f"if({known}_at < {instant}, {name}, null)"
        for name, known in {
            "is_irregular": "label",
            "is_serious": "label",
            "label_at": "label",
            "cancelled_at": "cancelled",
        }.items()
    }
    replaced = ", ".join(f"{expression} as {name}" for name, expression in columns.items())
    return f"select * replace ({replaced}) from seeded_items"


BEGINNING, END = f"timestamp '{TODAY}'", f"timestamp '{TODAY}' + interval 1 day"

# What had been sent when TODAY began, as one extract per month.
HISTORY = f"{_with_outcomes_before(BEGINNING)} where registered_date < date '{TODAY}'"

# The day's own extract: its items, and items that were labelled or cancelled since, sent again.
OF_THE_DAY = {
    "extract_id": "lower(member_iso2) || '-day'",
    "source_file": "'zz_' || member_iso2 || '_day.csv'",
}
DAY = f"""
    {_with_outcomes_before(END, **OF_THE_DAY)}
    where
        registered_date = date '{TODAY}'
        or (
            registered_date < date '{TODAY}'
            and (
                label_at >= {BEGINNING} and label_at < {END}
                or cancelled_at >= {BEGINNING} and cancelled_at < {END}
            )
        )
"""

# Late and corrected: an item of 25 January that nobody had sent, and another value for some of 27 January.
CORRECTED = """
    select * replace (
        'xb-late' as extract_id,
        'zzz_XB_late.csv' as source_file,
        'late-' || declaration_id as declaration_id
    )
    from seeded_items where member_iso2 = 'XB' and registered_date = date '2024-01-25' and item_no = 1
    union all
    select * replace (
        'xb-late' as extract_id,
        'zzz_XB_late.csv' as source_file,
        declared_value * 2 as declared_value,
        source_line + 1000000 as source_line
    )
    from seeded_items where member_iso2 = 'XB' and registered_date = date '2024-01-27'
"""
# And the rate of a currency that only XA uses, from TODAY on.
NEW_RATE = f"select 'XA', 'EUR', date '{TODAY}', 0.7"

# Sent once more as they were, with labels and all: nothing is new.
AGAIN = {
    "extract_id": "lower(member_iso2) || '-again'",
    "source_file": "'zzzz_' || member_iso2 || '_again.csv'",
}
SENT_AGAIN = f"{_with_outcomes_before(END, **AGAIN)} where registered_date = date '2024-01-10'"

FEATURES = "features/declaration_item_features.parquet"
BUILD = ("run", "--select", "+int_inputs__built")


def _files(warehouse: Any) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each file of the feature mart: another one where it was written anew."""
    folder = warehouse.home / "marts" / FEATURES
    return {path.stem: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.parquet")}


def _at_once(built: Any, seeded: duckdb.DuckDBPyConnection, folder: Path, items: str, rates: str = "") -> Any:
    warehouse = type(built)(folder)
    warehouse.land(seeded, items, extra_rates=rates)
    warehouse.dbt(*BUILD)
    return warehouse


def _windows(warehouse: Any) -> dict[str, str]:
    with warehouse.open() as connection:
        return dict(
            connection.execute(
                "select member_iso2, from_date::varchar from intermediate.int_rebuild_windows"
            ).fetchall()
        )


@pytest.fixture(scope="module")
def grown(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A warehouse that was built up to TODAY, then with the day, then with what came late."""
    warehouse = type(built)(tmp_path_factory.mktemp("grown"))
    steps: list[tuple[dict[str, str], dict[str, tuple[int, int]], dict[str, str]]] = []
    for items, rates in (
        (HISTORY, ""),
        (f"{HISTORY} union all {DAY}", ""),
        (f"{HISTORY} union all {DAY} union all {CORRECTED}", NEW_RATE),
        (f"{HISTORY} union all {DAY} union all {CORRECTED} union all {SENT_AGAIN}", NEW_RATE),
    ):
        warehouse.land(seeded, items, extra_rates=rates)
        warehouse.dbt(*BUILD)
        steps.append((warehouse.mart_digests(), _files(warehouse), _windows(warehouse)))
    return steps


def test_a_day_on_top_equals_a_build_of_everything(
    grown: Any, built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    at_once = _at_once(built, seeded, tmp_path, f"{HISTORY} union all {DAY}")
    assert grown[1][0] == at_once.mart_digests()
    assert grown[1][0] != grown[0][0]


def test_late_and_corrected_items_equal_a_build_of_everything(
    grown: Any, built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    items = f"{HISTORY} union all {DAY} union all {CORRECTED}"
    at_once = _at_once(built, seeded, tmp_path, items, NEW_RATE)
    assert grown[2][0] == at_once.mart_digests()
    assert grown[2][0] != grown[1][0]


def test_a_day_touches_its_own_month_only(grown: Any) -> None:
    (_, before, _), (_, after, windows), *_ = grown
    assert windows == {"XA": TODAY, "XB": TODAY}
    assert {name for name in after if after[name] != before.get(name)} == {"XA-2024-02", "XB-2024-02"}


def test_what_came_late_is_felt_from_its_day_and_by_its_member(grown: Any) -> None:
    _, (_, before, _), (_, after, windows), _ = grown
    # The rate of XA counts from TODAY; XB begins with the day of the late item.
    assert windows == {"XA": TODAY, "XB": "2024-01-25"}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"XA-2024-02", "XB-2024-01", "XB-2024-02"}


def test_what_is_sent_again_as_it_was_is_not_felt(grown: Any) -> None:
    (before_digests, before, _), (after_digests, after, windows) = grown[2:]
    assert windows == {}
    assert after == before
    assert after_digests == before_digests


# XB's items leave to their headers what a header says. Freight counts in values, as all are declared FOB.
APART = f"""
    select * replace (
        'FOB' as value_basis_code,
        if(member_iso2 = 'XB', null, registered_at) as registered_at,
        if(member_iso2 = 'XB', null, registered_date) as registered_date,
        if(member_iso2 = 'XB', null, office_code) as office_code,
        if(member_iso2 = 'XB', null, currency_code) as currency_code,
        if(member_iso2 = 'XB', null, is_irregular) as is_irregular,
        if(member_iso2 = 'XB', null, label_at) as label_at
    ), member_iso2 = 'XB' as is_header_apart
    from seeded_items
    where registered_date < date '{TODAY}'
"""
HEADERS = """
    select
        member_iso2, declaration_id, 1 as declaration_version, 1 as source_rows_n,
        registered_at, registered_date, office_code, currency_code,
        10 + item_no as total_freight, 1 as total_insurance,
        if({labelled}, is_irregular, null) as is_irregular, if({labelled}, label_at, null) as label_at,
        '{extract}' as extract_id, '{extract}.csv' as source_file, source_line
    from seeded_items where item_no = 1 and {which}
"""
BEFORE = f"label_at < timestamp '{TODAY}'"
# Headers of all but ten days of XB, whose items wait, and one day of XA.
KNOWN_HEADERS = HEADERS.format(
    labelled=BEFORE,
    extract="headers-1",
    which=f"member_iso2 = 'XB' and registered_date < date '{TODAY}' - 10",
)
# Those of XA's declarations of one day bring freight; one day of XB comes again, with labels and as it was.
LATE_HEADERS = HEADERS.format(
    labelled=f"({BEFORE} or member_iso2 = 'XB')",
    extract="headers-2",
    which="(member_iso2 = 'XA' and registered_date = date '2024-02-05'"
    " or member_iso2 = 'XB' and registered_date = date '2024-01-25')",
)
# What the waiting items wait for.
LAST_HEADERS = HEADERS.format(
    labelled=BEFORE,
    extract="headers-3",
    which=f"member_iso2 = 'XB' and registered_date >= date '{TODAY}' - 10"
    f" and registered_date < date '{TODAY}'",
)


@pytest.fixture(scope="module")
def headed(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A warehouse with items whose headers come apart, built as the headers came: digests and windows."""
    warehouse = type(built)(tmp_path_factory.mktemp("headed"))
    steps: list[tuple[dict[str, str], dict[str, str]]] = []
    headers = KNOWN_HEADERS
    for more in ("", LATE_HEADERS, LAST_HEADERS):
        headers = f"{headers} union all {more}" if more else headers
        warehouse.land(seeded, APART, headers=headers)
        warehouse.dbt(*BUILD)
        steps.append((warehouse.mart_digests(), _windows(warehouse)))
    return steps


def test_headers_that_came_later_equal_a_build_of_everything(
    headed: Any, built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for step, headers in (
        (1, f"{KNOWN_HEADERS} union all {LATE_HEADERS}"),
        (2, f"{KNOWN_HEADERS} union all {LATE_HEADERS} union all {LAST_HEADERS}"),
    ):
        warehouse = type(built)(tmp_path / str(step))
        warehouse.land(seeded, APART, headers=headers)
        warehouse.dbt(*BUILD)
        assert headed[step][0] == warehouse.mart_digests()
        assert headed[step][0] != headed[step - 1][0]


def test_a_header_is_felt_from_what_it_changes(headed: Any, seeded: duckdb.DuckDBPyConnection) -> None:
    """Freight from the day of the declaration; a label alone from the day after it became visible."""
    (first_label,) = seeded.sql(
        f"""
        select (min(greatest(cast(label_at + interval 14 hours as date), registered_date)) + 1)::varchar
        from seeded_items
        where member_iso2 = 'XB' and item_no = 1 and registered_date = date '2024-01-25'
        and label_at >= timestamp '{TODAY}'
        """
    ).fetchall()[0]
    assert headed[1][1] == {"XA": "2024-02-05", "XB": first_label}
    assert headed[2][1] == {"XB": "2024-02-10"}
