"""One run from two members' files to a published set, and what each room handed to the next."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.publish import DUCKDB_FILE, RECORD_FILE, TABLES
from flows.versions import data_version
from ml.score import accepted_runs
from tidewaiter import fingerprint
from tidewaiter.canonical import load_dataset
from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, landed_receipts

MEMBERS = ("XA", "XC")
SCORED = {
    **{"member_iso2": "VARCHAR", "declaration_id": "VARCHAR", "item_no": "INTEGER"},
    **{"score": "DOUBLE", "probability": "DOUBLE", "expected_recovery_usd": "DOUBLE"},
    **{"rank_in_office_day": "INTEGER", "suggested_lane_code": "VARCHAR"},
    **{"reason_1": "VARCHAR", "reason_2": "VARCHAR", "reason_3": "VARCHAR"},
    **{"model_name": "VARCHAR", "model_version": "VARCHAR", "run_id": "VARCHAR", "scored_at": "TIMESTAMP"},
}
ALWAYS_THERE = set(SCORED) - {"reason_1", "reason_2", "reason_3"}
# Shorter ones, such as broker 7, would be found anywhere by chance.
SHORTEST_TELLING_IDENTIFIER = 6


@pytest.fixture(scope="module")
def published(undisturbed) -> Any:
    with duckdb.connect(str(undisturbed.publication / DUCKDB_FILE), read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def receipts(undisturbed) -> list[Any]:
    return [
        found for found in landed_receipts(undisturbed.settings.paths) if found.dataset == "declaration_items"
    ]


def one(connection: Any, sql: str, *parameters: Any) -> Any:
    (row,) = connection.execute(sql, list(parameters)).fetchall()
    return row[0] if len(row) == 1 else row


@pytest.mark.parametrize("member", MEMBERS)
def test_counts_agree_from_the_files_to_the_scores(undisturbed, published, receipts, member):
    own = [receipt for receipt in receipts if receipt.member_iso2 == member]
    manifest = json.loads((undisturbed.home / "synthetic" / member.lower() / "manifest.json").read_text())
    assert sum(receipt.rows_in for receipt in own) == manifest["items"]
    assert sum(receipt.rows_quarantined for receipt in own) == manifest["faults"]
    for receipt in own:
        assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined
    landed = str(undisturbed.home / "landing/declaration_items" / f"member={member}" / "*/rows.parquet")
    rows, items = one(
        duckdb, "select count(*), count(distinct (declaration_id, item_no)) from read_parquet(?)", landed
    )
    assert rows == sum(receipt.rows_landed for receipt in own)

    def count(table: str, condition: str = "true") -> int:
        return one(published, f"select count(*) from {table} where member_iso2 = ? and {condition}", member)

    (run,) = accepted_runs(undisturbed.settings, member)
    window = f"registered_date between date '{run.window_from}' and date '{run.window_to}'"
    assert count("trade.declaration_items") == items
    assert count("features.declaration_item_features") == items
    labelled = count("features.declaration_item_labels")
    assert 0 < labelled == count("trade.declaration_items", "is_irregular is not null") < items
    scored = count("scores.declaration_items")
    assert 0 < scored == run.items_scored == count("features.declaration_item_features", window) < items
    told = published.execute(
        "select extract_id, rows_in, rows_landed, rows_quarantined, is_accepted from trade.member_extracts"
        " where member_iso2 = ? and dataset_name = 'declaration_items' order by 1",
        [member],
    ).fetchall()
    assert told == sorted(
        (receipt.extract_id, receipt.rows_in, receipt.rows_landed, receipt.rows_quarantined, True)
        for receipt in own
    )


def test_parquet_database_and_record_hold_the_same_rows(undisturbed, published):
    record = json.loads((undisturbed.publication / RECORD_FILE).read_text())
    assert undisturbed.publication.name == record["publication_id"]
    assert record["members"] == dict.fromkeys(MEMBERS, "fresh")
    for name, digest in record["files"].items():
        path = undisturbed.publication / name
        assert fingerprint.of_file(path) == digest
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    for schema, table in TABLES:
        name = f"{schema}.{table}"
        files = str(undisturbed.publication / schema / table / "*/rows.parquet")
        difference = one(
            published,
            f"""
            with files as (select * from read_parquet(?, hive_partitioning = false))
            select
                (select count(*) from (from files except all from {name}))
                + (select count(*) from (from {name} except all from files))
            """,
            files,
        )
        assert difference == 0
        assert record["rows"][name] == one(published, f"select count(*) from {name}")
        # The synthetic members repeat their header on each item.
        assert record["rows"][name] > 0 or name == "trade.declarations"


def test_scored_rows_have_what_was_promised(published):
    columns = dict(
        published.execute(
            "select column_name, data_type from duckdb_columns()"
            " where schema_name = 'scores' and table_name = 'declaration_items'"
        ).fetchall()
    )
    assert columns.items() >= SCORED.items()
    for column in ALWAYS_THERE:
        assert one(published, f"select count(*) - count({column}) from scores.declaration_items") == 0
    explained, unranked, impossible = one(
        published,
        """
        select
            count(reason_1),
            count(*) filter (not regexp_full_match(run_id, '[0-9a-f]{32}')),
            count(*) filter (not (probability between 0 and 1) or expected_recovery_usd < 0)
        from scores.declaration_items
        """,
    )
    assert explained > 0
    assert (unranked, impossible) == (0, 0)


def test_ranks_run_from_one_within_office_and_day(published):
    lists, longest = one(
        published,
        """
        select count(*), max(items) from (
            select count(*) as items from scores.declaration_items
            group by member_iso2, office_code, registered_date
        )
        """,
    )
    wrong = one(
        published,
        """
        select count(*) from (
            select
                rank_in_office_day <> row_number() over day
                or expected_recovery_usd > coalesce(lag(expected_recovery_usd) over day, 'infinity')
                    as is_wrong
            from scores.declaration_items
            window day as (
                partition by member_iso2, office_code, registered_date order by rank_in_office_day
            )
        ) where is_wrong
        """,
    )
    assert lists > 100
    assert longest > 1
    assert wrong == 0


def test_no_outcome_is_a_feature(published):
    outcomes = {
        field.name
        for field in load_dataset("declaration_items").fields
        if field.sensitivity in ("outcome", "officer")
    }
    assert {"is_irregular", "recovered_tax", "lane_final_code", "inspector_final_id"} <= outcomes
    features = {
        column.partition("__")[2] or column
        for (column,) in published.execute(
            "select column_name from duckdb_columns()"
            " where schema_name = 'features' and table_name = 'declaration_item_features'"
        ).fetchall()
    }
    assert len(features) > 60
    assert not features & outcomes
    assert not {
        name for name in features if re.search("assessed|recovered|inspect|lane|irregular|label_at", name)
    }


def test_every_published_column_says_what_it_means(published):
    silent = published.execute(
        "select schema_name, table_name, column_name from duckdb_columns()"
        " where database_name = 'tidewaiter' and coalesce(comment, '') = ''"
    ).fetchall()
    tables = published.execute(
        "select schema_name, table_name, comment from duckdb_tables() where database_name = 'tidewaiter'"
    ).fetchall()
    assert silent == []
    assert {(schema, table) for schema, table, _ in tables} == set(TABLES)
    assert all(comment.startswith("One row per") for *_, comment in tables)


def test_a_score_leads_back_to_its_data(undisturbed, published):
    from flows.manifest import read_manifest
    from ml.tracking import open_client

    settings = undisturbed.settings
    client = open_client(settings)
    for member in MEMBERS:
        name, version = one(
            published,
            "select distinct model_name, model_version from scores.declaration_items where member_iso2 = ?",
            member,
        )
        registered = client.get_model_version(name, version)
        run = client.get_run(registered.run_id)
        assert registered.aliases == ["champion"]
        assert run.data.tags["data_version"] == data_version(read_manifest(settings), member)
        assert run.data.metrics["precision_at_05"] >= 0
    assert client.get_model_version_by_alias("irregularity-pooled", "champion").run_id


def unpacked(path: Path) -> bytes:
    """Return the content of a file that may be packed."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    return path.read_bytes()


@pytest.fixture(scope="module")
def identifiers(undisturbed) -> set[str]:
    """Every identifier of a party or officer in the members' files, in clear."""
    settings = undisturbed.settings
    found: set[str] = set()
    for member in MEMBERS:
        contract = load_contract(settings.members_dir, member)
        for extract in contract.extracts:
            fields = load_dataset(extract.dataset).by_name
            columns = {
                mapping.column
                for name, mapping in extract.fields.items()
                if fields[name].sensitivity in ("party", "officer")
            }
            for path in find_files(extract, contract, settings) if columns else []:
                lines = io.StringIO(unpacked(path).decode(extract.format.encoding), newline="")
                for line in csv.DictReader(lines, delimiter=extract.format.delimiter):
                    found |= {line[column] for column in columns if line.get(column)}
    assert {"P05001793", "AG0002"} & found
    return found


def texts(path: Path) -> dict[str, set[str]]:
    """Return the distinct texts of each column of a Parquet file that holds any."""
    relation = duckdb.read_parquet(str(path), hive_partitioning=False)
    kinds = zip(relation.columns, relation.types, strict=True)
    names = [name for name, kind in kinds if "VARCHAR" in str(kind)]
    return {
        name: {str(value) for (value,) in relation.select(f'"{name}"').distinct().fetchall()}
        for name in names
    }


def test_no_party_or_officer_is_written_in_clear(undisturbed, published, identifiers):
    """In all that lies below the home, but for what the members sent and its kept copy."""
    telling = {found for found in identifiers if len(found) >= SHORTEST_TELLING_IDENTIFIER}
    # Digits alone would be found by chance in any file of figures.
    words = {found for found in telling if re.fullmatch(r"[A-Z]+\d+", found)}
    names = re.compile(r"Exporter \d{4}")
    assert len(words) > 100
    assert any(names.match(found) for found in telling)
    rooms = set()
    for path in sorted(path for path in undisturbed.home.rglob("*") if path.is_file()):
        inside = path.relative_to(undisturbed.home)
        if inside.parts[0] in ("raw", "synthetic"):
            continue
        rooms.add(inside.parts[0])
        if path.suffix == ".parquet":
            for column, values in texts(path).items():
                assert not telling & values, f"{inside}, column {column}"
                content = " ".join(values)
                assert not words & set(re.findall(r"\w+", content)), f"{inside}, column {column}"
                assert not names.search(content), f"{inside}, column {column}"
        else:
            content = path.read_bytes().decode("latin-1")
            assert not words & set(re.findall(r"\w+", content)), inside
            assert not names.search(content), inside
    assert {"landing", "marts", "publications", "mlflow", "warehouse", "gates", "dbt", "prefect"} <= rooms
    personal = ("importer_id", "declarant_id", "seller_id", "courier_id", "inspector_initial_id")
    for column in personal:
        known, pseudonyms = one(
            published,
            f"select count({column}), count(*) filter (regexp_full_match({column}, '[0-9a-f]{{32}}'))"
            " from trade.declaration_items",
        )
        assert known == pseudonyms
    assert one(published, "select count(importer_id) from trade.declaration_items") > 0


def test_the_truth_behind_the_extracts_is_not_needed(undisturbed):
    assert not list(undisturbed.home.glob("synthetic/*/truth"))
    for member in MEMBERS:
        contract = load_contract(undisturbed.settings.members_dir, member)
        for extract in contract.extracts:
            for path in find_files(extract, contract, undisturbed.settings):
                assert path.parent.name == "extracts"


def test_running_again_changes_nothing(undisturbed):
    def everything() -> dict[str, tuple[int, int]]:
        kept = (
            "raw",
            "landing",
            "marts",
            "scores",
            "publications",
            "mlflow/artifacts",
            "warehouse",
            "integrity",
        )
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for name in kept
            for path in (undisturbed.home / name).rglob("*")
            if path.is_file() and path.name != "manifest.parquet"
        }

    def trainings() -> list[str]:
        from ml.tracking import open_client

        client = open_client(undisturbed.settings)
        experiments = [found.experiment_id for found in client.search_experiments()]
        return sorted(run.info.run_id for run in client.search_runs(experiments))

    before = everything(), trainings(), undisturbed.publication
    told = json.loads(undisturbed.call_well("run", *(f"--member={code}" for code in MEMBERS), "--json"))
    assert (everything(), trainings(), undisturbed.publication) == before
    assert len(before[1]) == len(MEMBERS) + 1
    assert told["publication_id"] == undisturbed.publication.name
    assert [row["state"] for row in told["members"]] == ["published"] * len(MEMBERS)
