"""A gate refuses one member: it keeps what it had, the others go on, and a corrected file ends it.

The story runs on a copy of the undisturbed home: run one finds a spoilt file of XC and a good one of
XA; run two finds XC's file corrected and another of XA, which only the features gate can catch.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import gates, ingest, manifest
from flows.publish import TABLES
from tidewaiter.errors import ExitCode, GateRefused
from tidewaiter.landing import landed_receipts

RESENT = 100
NEW = 50


@dataclass(frozen=True)
class Told:
    """What a run came to, as `--json` prints it, and the published set of that moment."""

    code: int
    outcome: dict[str, Any]
    publication: Path

    def problems(self, member: str) -> list[str]:
        return self.outcome["problems"][member]

    def state(self, member: str) -> str:
        (row,) = [row for row in self.outcome["members"] if row["member"] == member]
        return row["state"]

    def bytes_of(self, member: str) -> dict[str, bytes]:
        return {
            f"{schema}.{table}": (
                self.publication / schema / table / f"member={member}" / "rows.parquet"
            ).read_bytes()
            for schema, table in TABLES
        }

    def one(self, sql: str) -> Any:
        """Ask with `{trade}`, `{scores}` and so on for the Parquet of both members."""
        files = {
            table: f"read_parquet('{self.publication}/{schema}/{table}/*/rows.parquet')"
            for schema, table in TABLES
            if table != "declaration_items"
        }
        for schema in ("trade", "scores"):
            files[schema] = f"read_parquet('{self.publication}/{schema}/declaration_items/*/rows.parquet')"
        (row,) = duckdb.sql(sql.format(**files)).fetchall()
        return row[0] if len(row) == 1 else row


@dataclass(frozen=True)
class Inbox:
    """Where one member's files lie, and how a later file is made of them."""

    first: Path
    key: str
    delimiter: str


def inbox_of(home: Path, member: str) -> Inbox:
    folder = home / "synthetic" / member.lower() / "extracts"
    if member == "XA":
        return Inbox(folder / "import_items_2025-01_2025-06.csv", "DECLARATION_NO", ",")
    return Inbox(folder / "dua_202401_202506.txt", "DUA", "|")


@pytest.fixture(scope="module")
def later(install, undisturbed) -> Any:
    """A copy of the finished home. Models are read from the original, so nothing may be trained."""
    installation = install("later")
    installation.home.rmdir()
    shutil.copytree(undisturbed.home, installation.home, symlinks=True)
    return installation


def run(installation) -> Told:
    done = installation.call("run", "--member=XA", "--member=XC", "--no-train", "--json")
    assert done.printed, done.said
    return Told(done.code, json.loads(done.printed), installation.publication)


@pytest.fixture(scope="module")
def before(undisturbed) -> Told:
    return Told(0, {}, undisturbed.publication)


@pytest.fixture(scope="module")
def first(later, resend, a_year_later) -> Told:
    """XC sends 150 lines, 15 of them with a day that does not exist; XA sends 50 sound new ones."""
    spoilt, sound = inbox_of(later.home, "XC"), inbox_of(later.home, "XA")

    def spoil(number: int, line: dict[str, str]) -> dict[str, str]:
        line = line if number < RESENT else a_year_later(line, spoilt.key)
        return line | ({"FEC_REG": "20251345"} if number % 10 == 0 else {})

    sent = slice(-RESENT - NEW, None)
    assert resend(spoilt.first, spoilt.first.with_name("dua_202507.txt"), sent, spoil, "|") == RESENT + NEW
    resend(
        sound.first,
        sound.first.with_name("import_items_2026-01.csv"),
        slice(0, NEW),
        lambda _, line: a_year_later(line, sound.key),
    )
    return run(later)


@pytest.fixture(scope="module")
def refused_lines(later, first) -> int:
    """Lines of XC's first file that cannot land; counted before the file is sent again."""
    return impossible_days(inbox_of(later.home, "XC").first.with_name("dua_202507.txt"))


@pytest.fixture(scope="module")
def second(later, first, resend, a_year_later) -> Told:
    """XC sends its file again, corrected and with doubled values; XA one in a currency without a rate."""
    corrected, poisoned = inbox_of(later.home, "XC"), inbox_of(later.home, "XA")

    def correct(number: int, line: dict[str, str]) -> dict[str, str]:
        if number < RESENT:
            return line | {"VALOR_CIF": f"{2 * float(line['VALOR_CIF']):.2f}", "VALOR_AJUSTADO": ""}
        return a_year_later(line, corrected.key)

    sent = slice(-RESENT - NEW, None)
    resend(corrected.first, corrected.first.with_name("dua_202507.txt"), sent, correct, "|")
    resend(
        poisoned.first,
        poisoned.first.with_name("import_items_2026-02.csv"),
        slice(NEW, 4 * NEW),
        lambda _, line: a_year_later(line, poisoned.key) | {"CURRENCY": "ZZZ"},
    )
    return run(later)


def impossible_days(path: Path) -> int:
    """Count the lines of XC whose registration is no day; the world plants a few of its own."""

    def is_day(text: str) -> bool:
        try:
            return bool(datetime.strptime(text, "%Y%m%d"))
        except ValueError:
            return False

    with path.open(encoding="utf-8", newline="") as handle:
        return sum(not is_day(line["FEC_REG"]) for line in csv.DictReader(handle, delimiter="|"))


def test_a_file_refused_at_landing_holds_its_member(first, refused_lines):
    assert first.code == ExitCode.GATE_REFUSED
    assert (first.state("XC"), first.state("XA")) == ("held", "published")
    assert first.outcome["sentence"] == "1 of 2 members published; XC held at landing"
    (problem,) = first.problems("XC")
    assert problem.startswith("member XC, file dua_202507.txt, 150 rows: extract refused, nothing landed: ")
    assert refused_lines >= 15
    assert re.search(rf"registered_at: [^;]*\({refused_lines} rows\)", problem)
    assert "expected at most 5.0% of the rows with a fault" in problem
    assert re.search(r"next: look into \S+/quarantine.parquet", problem)


def test_a_held_member_keeps_its_bytes_and_the_other_is_fresh(before, first):
    assert first.publication != before.publication
    assert first.bytes_of("XC") == before.bytes_of("XC")
    assert first.bytes_of("XA") != before.bytes_of("XA")
    record = json.loads((first.publication / "publication.json").read_text())
    assert record["members"] == {"XA": "fresh", "XC": "carried"}
    ask = "select count(*) from {{trade}} where member_iso2 = '{}'"
    assert first.one(ask.format("XA")) == before.one(ask.format("XA")) + NEW
    assert first.one("select count(*) from {scores} where declaration_id like '9%'") == NEW


def test_a_corrected_file_takes_its_place(before, first, second):
    """The items sent again are superseded, the new ones are added, each is counted once."""
    assert second.state("XC") == "published"
    assert second.problems("XC") == []
    ask = "select count(*), count(distinct (declaration_id, item_no)) from {trade} where member_iso2 = 'XC'"
    rows, items = second.one(ask)
    known = before.one(ask)[0]
    sent_again, new, doubled = second.one(
        f"""
        with sent_last as (
            select * from {{trade}} where member_iso2 = 'XC' and source_file = 'dua_202507.txt'
        )
        select
            count(*) filter (registered_date < date '2026-01-01'),
            count(*) filter (registered_date >= date '2026-01-01'),
            count(*) filter (abs(declared_value / (
                select earlier.declared_value
                from read_parquet('{before.publication}/trade/declaration_items/*/rows.parquet') as earlier
                where earlier.member_iso2 = 'XC'
                    and earlier.declaration_id = sent_last.declaration_id
                    and earlier.item_no = sent_last.item_no
            ) - 2) < 0.001)
        from sent_last
        """
    )
    assert rows == items == known + new
    assert sent_again == doubled
    # The last lines may hold a planted fault or a line that had been amended.
    assert RESENT - 5 <= sent_again <= RESENT
    assert NEW - 5 <= new <= NEW
    extracts = second.one(
        "select list(is_accepted order by received_at) from {member_extracts}"
        " where member_iso2 = 'XC' and source_file = 'dua_202507.txt'"
    )
    assert extracts == [False, True]


def test_the_features_gate_says_what_it_refuses(later, second):
    assert second.code == ExitCode.GATE_REFUSED
    assert (second.state("XA"), second.state("XC")) == ("held", "published")
    assert second.outcome["sentence"] == "1 of 2 members published; XA held at features gate"
    problem = next(told for told in second.problems("XA") if " declared_value_usd: " in told)
    where, what, rest = problem.split(": ", 2)
    assert where == "features gate, XA, suite features.declaration_item_features"
    assert what == "declared_value_usd"
    poisoned = next(
        receipt.rows_landed
        for receipt in landed_receipts(later.settings.paths)
        if receipt.source_file == "import_items_2026-02.csv"
    )
    assert re.match(rf"[^;]*\b{poisoned}\b[^;]* \(expect_\w+\); expected ", rest)
    page = re.search(r"next: open (\S+\.html)", rest)
    assert page is not None
    assert Path(page.group(1)).is_file()


def test_the_poisoned_member_keeps_what_the_run_before_published(first, second):
    assert second.bytes_of("XA") == first.bytes_of("XA")
    assert second.bytes_of("XC") != first.bytes_of("XC")
    assert second.one("select count(*) from {trade} where currency_code = 'ZZZ'") == 0


def test_nothing_was_trained_on_the_way(undisturbed, second):
    models = undisturbed.home / "mlflow" / "artifacts"
    assert len(list(models.rglob("MLmodel"))) == 3


def test_the_landing_gate_refuses_until_the_file_is_taken_back(install, undisturbed, resend):
    """Rows that can be read but cannot be right: nothing in the file weighs anything."""
    settings = install("weightless").settings
    known = inbox_of(undisturbed.home, "XC")
    inbox = inbox_of(settings.home, "XC").first.parent
    inbox.mkdir(parents=True)
    shutil.copyfile(known.first.with_name("tipo_cambio.txt"), inbox / "tipo_cambio.txt")
    sound, weightless = inbox / "dua_1.txt", inbox / "dua_2.txt"
    resend(known.first, sound, slice(0, 200), lambda _, line: line, "|")
    resend(known.first, weightless, slice(200, 400), lambda _, line: line | {"PESO_NETO_TM": "0"}, "|")
    ingest.ingest_member(settings, "XC")
    with pytest.raises(GateRefused) as refusal:
        gates.gate_landing(settings, "XC")
    (problem,) = refusal.value.problems
    assert re.fullmatch(r"net_kg: .*\b(200|100)\b.* \(expect_\w+\)", problem.what)
    assert re.fullmatch(r"landing gate, XC \S+, suite landing\.declaration_items", problem.where)
    assert not gates.may_publish(settings, "XC")
    accepted = {row.source_file: row.is_accepted for row in manifest.write_manifest(settings)}
    assert accepted == {"dua_1.txt": True, "dua_2.txt": False, "tipo_cambio.txt": True}

    weightless.unlink()
    assert all(result.passed for result in gates.gate_landing(settings, "XC"))
    assert gates.may_publish(settings, "XC")
    rows = manifest.write_manifest(settings)
    assert {row.source_file: row.is_accepted for row in rows} == accepted
