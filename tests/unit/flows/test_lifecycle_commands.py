"""The commands of an extract's life, end to end in a home of their own; and the how-to that names them."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app
from flows.publish import TABLES, publish
from tidewaiter.marts import BY_MONTH
from tidewaiter.settings import PROJECT_ROOT, Settings

SUBJECT = "P-77-SUBJECT"
SAMPLE = (
    "Declaration No;Item;Registration date;Office;HS code;Importer;Customs value;Currency;Net weight\n"
    + "".join(
        f"D{n // 2};{n % 2 + 1};{n % 28 + 1:02d}/03/2024;K1;{(847130, 870323)[n % 2]};"
        f"{SUBJECT if n % 10 == 0 else f'P-{n % 7}'};{'?' if n == 30 else n + 5},50;GHS;{n},125\n"
        for n in range(60)
    )
)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A home and a members folder of their own, with the sample where `members init` expects files."""
    settings = Settings(home=tmp_path / "home", members_dir=tmp_path / "members", threads=2)
    settings.members_dir.mkdir()
    for name in ("home", "members_dir"):
        monkeypatch.setenv(f"TIDEWAITER_{name.upper()}", str(getattr(settings, name)))
    incoming = settings.home / "incoming" / "xd"
    incoming.mkdir(parents=True)
    (incoming / "declarations_2024.csv").write_text(SAMPLE)
    return settings


def run(*arguments, exit_code=0, **options):
    done = CliRunner().invoke(app, [str(one) for one in arguments], **options)
    code = getattr(done.exception, "exit_code", done.exit_code)
    assert int(code) == exit_code, f"{arguments}: {done.output} {done.exception!r}"
    return done


def found(*arguments, **options):
    return json.loads(run(*arguments, "--json", **options).stdout)


def sample_of(settings):
    return settings.home / "incoming" / "xd" / "declarations_2024.csv"


@pytest.fixture
def landed(there):
    run("members", "init", "XD", sample_of(there))
    run("ingest", "--member", "XD")
    return there


def test_the_how_to_lands_a_fresh_sample(there):
    """Every command of the page, in its order, on a sample that no contract has seen."""
    page = (PROJECT_ROOT / "docs" / "how-to" / "add-a-member.md").read_text(encoding="utf-8")
    commands = re.findall(r"^tidewaiter (.+)$", page, flags=re.M)
    assert [" ".join(one.split()[:2]) for one in commands][:3] == [
        "members init",
        "members check",
        "ingest --member",
    ]
    for line in commands:
        words = re.findall(r'"[^"]*"|\S+', line)
        arguments = [sample_of(there) if word.endswith(".csv") else word.strip('"') for word in words]
        run(*arguments)
    (row,) = found("ingest", "--member", "XD")
    assert (row["rows_in"], row["rows_landed"], row["rows_quarantined"]) == (60, 59, 1)


def test_a_contract_is_not_overwritten_without_force(there):
    run("members", "init", "XD", sample_of(there))
    before = (there.members_dir / "xd" / "contract.yaml").read_text()
    run("members", "init", "XD", sample_of(there), exit_code=2)
    assert (there.members_dir / "xd" / "contract.yaml").read_text() == before
    run("members", "init", "XD", sample_of(there), "--force", "--name", "Other")
    assert '"Other"' in (there.members_dir / "xd" / "contract.yaml").read_text()
    run("members", "init", "XDX", sample_of(there), exit_code=2)


def test_check_exits_3_where_the_extract_would_be_refused(landed, tmp_path):
    bad = tmp_path / "declarations_bad.csv"
    bad.write_text(SAMPLE.replace("/03/2024", "/33/2024"))
    done = run("members", "check", "XD", bad, "--json", exit_code=3)
    report = json.loads(done.stdout)
    assert (report["is_refused"], report["share_landed"]) == (True, 0.0)
    assert report["problems"][0]["columns"] == "Registration date"


def test_diff_and_ingest_exit_3_on_a_missing_column(landed, tmp_path):
    changed = SAMPLE.replace("Office;", "Customs office;", 1)
    new = tmp_path / "declarations_new.csv"
    new.write_text(changed)
    rows = json.loads(run("members", "diff", "XD", new, "--json", exit_code=3).stdout)
    assert [(row["change"], row["column"]) for row in rows] == [
        ("missing", "Office"),
        ("not used", "Customs office"),
    ]
    assert "Customs office" in rows[0]["note"]
    (sample_of(landed).parent / "declarations_2025.csv").write_text(changed)
    assert "'Office' is missing" in run("ingest", "--member", "XD", exit_code=3).output
    assert len(found("quarantine", "list", "--all")) == 1


def test_show_lists_what_is_not_supported(landed):
    lacking = {row["not_supported"]: row["needs"] for row in found("members", "show", "XD")["not_supported"]}
    assert lacking["route"] == "origin_iso2, and dispatch_iso2"
    assert lacking["training a model"] == "is_irregular, and label_at"
    assert "value features" not in lacking


def test_quarantine_is_listed_shown_and_replayed(landed):
    (row,) = found("quarantine", "list")
    assert (row["reason"], row["rows"]) == ("declared_value: not a decimal number", 1)
    (shown,) = found("quarantine", "show", row["extract"][:6])
    assert (shown["line"], shown["record"]["Customs value"]) == (32, "?,50")
    contract = landed.members_dir / "xd" / "contract.yaml"
    contract.write_text(contract.read_text().replace('null_values: [""]', 'null_values: ["", "?,50"]'))
    contract.write_text(
        re.sub(r"declared_value: \{.*?\}", "declared_value: {expression: '\"Item\"'}", contract.read_text())
    )
    (done,) = found("quarantine", "replay")
    assert (done["landed_before"], done["landed_after"], done["outcome"]) == (59, 60, "landed again")
    assert found("quarantine", "list") == []
    run("quarantine", "show", "ffff", exit_code=2)
    # Asked for again, nothing is there twice: same rows, same bytes, same time of arrival.
    folder = landed.paths.landing / "declaration_items" / "member=XD" / f"extract={row['extract']}"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (again,) = found("quarantine", "replay", row["extract"][:6])
    assert (again["landed_before"], again["landed_after"], again["outcome"]) == (60, 60, "unchanged")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]
    assert found("ingest", "--member", "XD")[0]["rows_landed"] == 60


def test_a_file_that_feeds_two_datasets_is_tried_for_both(there):
    run("members", "init", "XD", sample_of(there))
    path = there.members_dir / "xd" / "contract.yaml"
    contract = yaml.safe_load(path.read_text())
    (items,) = contract["extracts"]
    unpivot = {
        "name": "event",
        "blocks": ["LANE_SET", "RELEASED"],
        "columns": {"at": ["Registration date", "Registration date"], "to": ["Office", None]},
        "row_if": ["at"],
    }
    fields = {name: items["fields"][name] for name in ("declaration_id", "item_no")}
    fields |= {
        "event_code": {"column": "event"},
        "event_at": {"column": "at", "formats": ["%d/%m/%Y"]},
        "to_value": {"column": "to"},
    }
    events = items | {
        "dataset": "declaration_events",
        "fields": fields,
        "format": items["format"] | {"unpivot": unpivot},
    }
    path.write_text(yaml.safe_dump(contract | {"extracts": [items, events]}))
    told = run("members", "check", "XD", sample_of(there)).output
    assert "59 of 60 rows are sound" in told
    assert "120 of 120 rows are sound" in told
    assert "line 2, block 2" in told
    assert {one["dataset"] for one in found("members", "check", "XD", sample_of(there))} == {
        *("declaration_items", "declaration_events")
    }
    changed = sample_of(there).with_name("declarations_2025.csv")
    changed.write_text(SAMPLE.replace("Net weight", "Something else", 1).replace("Item;", "Line;", 1))
    rows = json.loads(run("members", "diff", "XD", changed, "--json", exit_code=3).stdout)
    assert [(row["dataset"], row["change"], row["column"]) for row in rows if row["column"] == "Item"] == [
        ("declaration_items", "missing", "Item"),
        ("declaration_events", "missing", "Item"),
    ]
    assert [row["column"] for row in rows if row["change"] == "not used"] == ["Line", "Something else"]


def packed(content: str, kind: str, path: Path) -> Path:
    """Pack a file as a member may: alone, or in an archive with one that does not belong here."""
    if kind == "gz":
        path.write_bytes(gzip.compress(content.encode()))
    elif kind == "zst":
        path.write_bytes(pa.compress(content.encode(), codec="zstd", asbytes=True))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("declarations_01.csv", content)
            archive.writestr("declarations_02.csv", content)
            archive.writestr("readme.txt", "nothing of the kind")
    return path


@pytest.mark.parametrize(("kind", "files"), [("gz", 1), ("zst", 1), ("zip", 2)])
def test_packed_files_are_checked_and_compared_as_they_are_landed(there, tmp_path, kind, files):
    contract = there.members_dir / "xd" / "contract.yaml"
    run("members", "init", "XD", sample_of(there))
    contract.write_text(
        contract.read_text()
        .replace('files: ["declarations_*.csv"]', f'files: ["declarations_*.{kind}"]')
        .replace('null_values: [""]', 'null_values: [""]\n    archive: {members: ["*.csv"]}')
    )
    sent = packed(SAMPLE, kind, tmp_path / f"declarations_2024.csv.{kind}")
    done = run("members", "check", "XD", sent)
    assert done.output.count("59 of 60 rows are sound") == files
    assert ("declarations_02.csv" in done.output) is (kind == "zip")
    changed = packed(
        SAMPLE.replace("Office;", "Customs office;", 1), kind, tmp_path / f"declarations_2025.csv.{kind}"
    )
    told = run("members", "diff", "XD", changed, exit_code=3).output
    assert told.count("now 'Customs office'?") == files
    sample_of(there).unlink()
    packed(SAMPLE, kind, sample_of(there).with_name(f"declarations_2024.csv.{kind}"))
    landed = found("ingest", "--member", "XD")
    # Two files of an archive with the same bytes are one extract.
    assert [(row["rows_in"], row["rows_landed"]) for row in landed] == [(60, 59)]


# Tables whose rows are about no party.
WITHOUT_PARTIES = {"member_extracts", "feature_drift"}


def make_marts_and_publish(settings):
    """Marts as dbt would hand them over, of member XD and of one that must stay as it is."""
    rows = settings.paths.landing / "declaration_items" / "member=XD" / "*" / "rows.parquet"
    with duckdb.connect() as connection:
        items = connection.execute(f"select * from read_parquet('{rows}')").to_arrow_table()
        connection.register("items", items)
        for schema, table in TABLES:
            path = settings.paths.marts / schema / f"{table}.parquet"
            if (schema, table) in BY_MONTH:
                path = path / "XD-2024-03.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = (
                "*"
                if schema == "trade" and table == "declaration_items"
                else "member_iso2, declaration_id, item_no"
            )
            columns = "member_iso2, source_file" if table in WITHOUT_PARTIES else columns
            connection.execute(f"copy (select {columns} from items) to '{path}' (format parquet)")
        scores = settings.paths.scores / "member=XD" / "rows.parquet"
        scores.parent.mkdir(parents=True)
        connection.execute(
            f"copy (select member_iso2, declaration_id, item_no from items) to '{scores}' (format parquet)"
        )
    settings.paths.warehouse.parent.mkdir(parents=True)
    settings.paths.warehouse.write_bytes(b"warehouse")
    publish(settings, ["XD"])


def test_an_erased_subject_is_nowhere_and_stays_away(landed, monkeypatch):
    make_marts_and_publish(landed)
    monkeypatch.setenv("WHO", SUBJECT.lower())
    before = found("ingest", "--member", "XD")[0]
    receipt = found("privacy", "erase", "--member", "XD", "--party", "importer", "--id-env", "WHO")
    assert receipt["removed"] == {
        "raw": 6,
        "landing declaration_items": 5,
        "quarantine declaration_items": 1,
        "scores": 5,
        **{f"marts {schema}.{table}": 5 for schema, table in TABLES if table not in WITHOUT_PARTIES},
        **{f"published {schema}.{table}": 5 for schema, table in TABLES if table not in WITHOUT_PARTIES},
    }
    kept = [path for path in landed.home.rglob("*") if path.is_file() and "incoming" not in path.parts]
    traces = (SUBJECT.encode(), SUBJECT.lower().encode(), receipt["pseudonym"].encode())
    named = [path for path in kept if any(trace in path.read_bytes() for trace in traces)]
    assert [path.parent.name for path in named] == ["receipts"]  # its pseudonym, and nothing else
    assert SUBJECT.lower() not in named[0].read_text().lower()
    assert not landed.paths.warehouse.exists()
    assert len([path for path in landed.paths.publications.iterdir() if path.is_dir()]) == 1
    with duckdb.connect(str(landed.paths.published / "tidewaiter.duckdb"), read_only=True) as published:
        assert published.execute("select count(*) from trade.declaration_items").fetchone() == (54,)
    done = run(
        "privacy",
        "erase",
        "--member",
        "XD",
        "--party",
        "importer",
        "--id-stdin",
        "--json",
        input=f"{SUBJECT}\n",
    )
    assert json.loads(done.stdout) == receipt
    after = found("ingest", "--member", "XD")[0]
    assert (before["rows_landed"], after["rows_landed"], after["extract"]) == (59, 54, before["extract"])
    (sample_of(landed).parent / "declarations_2025.csv").write_text(SAMPLE.replace("2024", "2025"))
    assert [row["rows_in"] for row in found("ingest", "--member", "XD")] == [54, 54]


def test_the_identifier_must_come_from_one_place_and_be_one(landed, monkeypatch):
    erase = ("privacy", "erase", "--member", "XD", "--party")
    run(*erase, "importer", exit_code=2)
    run(*erase, "importer", "--id-env", "NOT_SET_ANYWHERE", exit_code=2)
    run(*erase, "importers", "--id-stdin", input="x\n", exit_code=2)


def test_a_new_key_gives_new_pseudonyms_and_forgets_no_erasure(landed):
    run("privacy", "erase", "--member", "XD", "--party", "importer", "--id-stdin", input=f"{SUBJECT}\n")
    pattern = str(landed.paths.landing / "declaration_items" / "member=XD" / "*" / "rows.parquet")
    query = f"select importer_id, received.* from read_parquet('{pattern}') as received order by source_line"
    with duckdb.connect() as connection:
        before = connection.execute(query).fetchall()
        rotation = found("privacy", "rotate-key", "--keep-old", "1")
        after = connection.execute(query).fetchall()
    assert len(before) == len(after) == 54
    assert {row[0] for row in before}.isdisjoint(row[0] for row in after)
    assert rotation["old_key"] != rotation["new_key"]
    assert rotation["extracts_landed_again"] == 1
    assert [path.stem for path in (landed.paths.keys / "retired").glob("*.key")] == [rotation["old_key"]]
    run("privacy", "rotate-key")
    assert [path.stem for path in (landed.paths.keys / "retired").glob("*.key")] == [rotation["old_key"]]
    assert [row["rows_in"] for row in found("ingest", "--member", "XD")] == [54]


def test_a_rotation_that_was_cut_short_is_finished_with_the_same_key(landed):
    from tidewaiter.keys import replace_key
    from tidewaiter.pseudonyms import KEY_FILE, load_pseudonymiser

    old = load_pseudonymiser(landed.paths).key_id
    landed.paths.state.mkdir(exist_ok=True)
    (landed.paths.state / "key-rotation.json").write_text(json.dumps({"old": old, "kept_until": None}))
    replace_key(landed.paths, KEY_FILE)
    new = load_pseudonymiser(landed.paths).key_id
    rotation = found("privacy", "rotate-key")
    assert (rotation["old_key"], rotation["new_key"], rotation["extracts_landed_again"]) == (old, new, 1)
    assert not (landed.paths.state / "key-rotation.json").exists()


def test_a_rotation_does_not_begin_where_bytes_are_gone(landed):
    (raw,) = (landed.paths.raw / "XD").glob("*/declarations_2024.csv")
    raw.unlink()
    sample_of(landed).unlink()
    key = (landed.paths.keys / "pseudonym.key").read_text()
    run("privacy", "rotate-key", exit_code=1)
    assert (landed.paths.keys / "pseudonym.key").read_text() == key
