"""Writing converted records: sound rows, quarantined rows, and the counts that the receipt proves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tidewaiter.landing.checks import PROBLEMS_TYPE, problem_sql
from tidewaiter.landing.column_pseudonyms import ColumnPseudonymiser
from tidewaiter.landing.convert import Converter, problems_of_faulty_sql
from tidewaiter.landing.persons import join_pseudonyms, make_pseudonym_tables
from tidewaiter.landing.receipts import QUARANTINE_FILE, ROWS_FILE
from tidewaiter.landing.repeats import Repeats
from tidewaiter.landing.shape import LandedShape, RowsWriter
from tidewaiter.landing.staged import SOURCE_LINE, Records
from tidewaiter.landing.wide import WideRecords
from tidewaiter.pseudonyms import Pseudonymiser, purpose_of
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    from tidewaiter.landing.mapping import Mapping
    from tidewaiter.landing.raw import StoredRaw

# Tables: source_line and problems of rows that are not landed; `faulty` and `evidence` with raw text.
_FAULTY = "faulty"
_UNREADABLE = "unreadable"
_SET_ASIDE = "set_aside"
_EVIDENCE = "evidence"
_PARTY_VALUES = "party_values"
_FAULTY_AT_ONCE = 50_000
_SORTED_AT_ONCE = 20_000_000  # 160 MB, twice while they are sorted

_DUPLICATE_KIND = "same key as an earlier row of the file"
_HELD_BACK_KIND = "sound, but held back with the refused extract"


@dataclass(frozen=True)
class Outcome:
    """The part of the receipt that the rows decide."""

    rows_in: int
    rows_landed: int
    rows_quarantined: int
    reasons: dict[str, int]
    min_registered_date: date | None
    max_registered_date: date | None
    refused: bool
    rows_repeated: int = 0
    wide: WideRecords | None = None


@dataclass(frozen=True)
class ExtractWriter:
    """Writes one extract.

    Attributes:
        connection: Where what is not landed is gathered.
        records: What was read.
        mapping: How it becomes canonical.
        raw: Its original bytes, for the lineage.
        member_iso2: Whose it is.
        pseudonymiser: Replaces parties and officers, in rows and in quarantined records.
        target: Folder to write into.
        wide: Where the rows are blocks of wide records.
    """

    connection: duckdb.DuckDBPyConnection
    records: Records
    mapping: Mapping
    raw: StoredRaw
    member_iso2: str
    pseudonymiser: Pseudonymiser
    target: Path
    wide: WideRecords | None = None

    def write(self, refuse_above: float) -> Outcome:
        """Write `rows.parquet` and `quarantine.parquet`, both ordered by line.

        A refused extract has no `rows.parquet`, so that nothing downstream can pick it up.

        Args:
            refuse_above: Share of faulty rows above which nothing is landed.
        """
        self._make_tables()
        rows = self.target / ROWS_FILE
        rows_in = self._convert(rows) + self._note_unreadable()
        if self.mapping.one_row_per_key:
            self._repeats(rows).set_aside_contradictions(_SET_ASIDE)
        else:
            self._set_aside_duplicates(rows)
        faulty = sum(self._count(f"(select distinct {SOURCE_LINE} from {table})") for table in self._apart)
        refused = rows_in > 0 and faulty / rows_in > refuse_above
        if refused:
            self._set_aside_all(rows)
            rows.unlink()
        elif self._count(_SET_ASIDE):
            self._drop_from(rows)
        self._make_evidence()
        landed = 0 if refused else self._count(f"read_parquet({quote_literal(rows)})")
        repeated = 0
        if self.mapping.one_row_per_key and landed:
            shape = LandedShape(self.connection, self.mapping, self.raw)
            repeated = self._repeats(rows).collapse(shape, self.target)
        self._write_quarantine()
        quarantined = self._count(f"read_parquet({quote_literal(self.target / QUARANTINE_FILE)})")
        if rows_in != landed + quarantined:
            raise AssertionError(f"{rows_in} rows in, {landed} landed and {quarantined} quarantined")
        if self.wide is not None and rows_in != self.wide.rows:
            raise AssertionError(f"{rows_in} rows in, {self.wide.rows} blocks of wide records")
        first, last = self._registered_range(rows, landed)
        return Outcome(
            rows_in, landed, quarantined, self._reasons(), first, last, refused, repeated, self.wide
        )

    def _repeats(self, rows: Path) -> Repeats:
        return Repeats(
            self.connection, self.mapping.dataset, tuple(self.mapping.varying), rows, self._line_sql
        )

    def _line_sql(self, source_line: str) -> str:
        """Return SQL of the place that a person looks up: that of the record, where rows are its blocks."""
        return source_line if self.wide is None else f"(({source_line} - 1) // {self.wide.blocks} + 1)"

    @property
    def _apart(self) -> tuple[str, str, str]:
        return _FAULTY, _UNREADABLE, _SET_ASIDE

    def _make_tables(self) -> None:
        raws = "".join(f", {column.raw} VARCHAR" for column in self.mapping.columns)
        for table, more in ((_FAULTY, raws), (_UNREADABLE, ""), (_SET_ASIDE, "")):
            self.connection.execute(
                f"create or replace table {table} ({SOURCE_LINE} BIGINT, problems {PROBLEMS_TYPE}{more})"
            )

    def _convert(self, rows: Path) -> int:
        """Convert all records, write the sound ones, gather the others, and return how many there are."""
        count = 0
        faulty: list[pa.Table] = []
        shape = LandedShape(self.connection, self.mapping, self.raw)
        convert = Converter(self.mapping, shape, ColumnPseudonymiser(self.pseudonymiser, self.member_iso2))
        with RowsWriter(rows, shape) as writer:
            for converted in self.records.batches(convert):
                count += converted.records
                faulty.append(converted.faulty)
                # Not at once: to ask for reasons takes longer to prepare than to do for a few rows.
                if sum(some.num_rows for some in faulty) > _FAULTY_AT_ONCE:
                    self._note_faulty(faulty)
                    faulty.clear()
                writer.write(converted.rows)
        self._note_faulty(faulty)
        return count

    def _note_faulty(self, tables: list[pa.Table]) -> None:
        if not any(table.num_rows for table in tables):
            return
        self.connection.register("faulty_rows", pa.concat_tables(tables))
        self.connection.execute(
            f"insert into {_FAULTY} {problems_of_faulty_sql(self.mapping, 'faulty_rows')}"
        )
        self.connection.unregister("faulty_rows")

    def _note_unreadable(self) -> int:
        self.connection.register("rejects_found", self.records.rejects())
        self.connection.execute(f"""
            insert into {_UNREADABLE}
            select {SOURCE_LINE}, list({{'kind': kind, 'message': message}} order by kind, message)
            from rejects_found group by all
        """)
        self.connection.unregister("rejects_found")
        return self._count(_UNREADABLE)

    def _set_aside_duplicates(self, rows: Path) -> None:
        """Set aside the sound rows whose primary key an earlier sound row has.

        Equal hashes are only where to look: the keys themselves are compared.
        """
        key = [name for name in self.mapping.dataset.primary_key if name != "member_iso2"]
        columns = ", ".join(quote_identifier(name) for name in key)
        first_line = self._line_sql("first_line")
        message = f"{quote_literal('same ' + ', '.join(key) + ' as line ')} || {first_line}"
        hashed = (
            f"(select {SOURCE_LINE}, hash({columns}) as key_hash"
            f" from read_parquet({quote_literal(rows)}, hive_partitioning = false))"
        )
        repeated = pa.table({"key_hash": self._repeated_hashes(hashed)})
        if not repeated.num_rows:
            return
        self.connection.register("repeated", repeated)
        self.connection.execute(
            f"create or replace temp table suspects as"
            f" select {SOURCE_LINE} from {hashed} semi join repeated using (key_hash)"
        )
        self.connection.unregister("repeated")
        self.connection.execute(f"""
            insert into {_SET_ASIDE}
            with same as (
                select {SOURCE_LINE}, min({SOURCE_LINE}) over (partition by {columns}) as first_line
                from read_parquet({quote_literal(rows)}) semi join suspects using ({SOURCE_LINE})
            )
            select {SOURCE_LINE}, [{problem_sql(_DUPLICATE_KIND, message)}]
            from same where {SOURCE_LINE} > first_line
        """)

    def _repeated_hashes(self, hashed: str) -> NDArray[np.uint64]:
        """Return the values of `key_hash` that stand more than once, found by sorting: a third of grouping.

        Args:
            hashed: SQL of a relation with `key_hash`.
        """
        rows = self._count(hashed)
        parts = 1 + rows // _SORTED_AT_ONCE
        found = []
        for part in range(parts):
            of_part = f" where key_hash % {parts} = {part}" if parts > 1 else ""
            query = f"select key_hash from {hashed}{of_part}"
            hashes = np.sort(self.connection.sql(query).to_arrow_table()["key_hash"].to_numpy())
            found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
        return np.concatenate(found)

    def _set_aside_all(self, rows: Path) -> None:
        self.connection.execute(f"""
            insert into {_SET_ASIDE}
            select {SOURCE_LINE}, [{problem_sql(_HELD_BACK_KIND, quote_literal(_HELD_BACK_KIND))}]
            from read_parquet({quote_literal(rows)}, hive_partitioning = false)
            anti join {_SET_ASIDE} using ({SOURCE_LINE})
        """)

    def _drop_from(self, rows: Path) -> None:
        """Write the rows again without those set aside."""
        partial = rows.with_name(f"without-{rows.name}")
        lines = self.connection.execute(f"select {SOURCE_LINE} from {_SET_ASIDE}").to_arrow_table()
        shape = LandedShape(self.connection, self.mapping, self.raw)
        with pq.ParquetFile(rows) as file, RowsWriter(partial, shape) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                is_dropped = pc.is_in(table[SOURCE_LINE], lines[SOURCE_LINE].combine_chunks())
                writer.write(table.filter(pc.invert(is_dropped)))
        partial.replace(rows)

    def _make_evidence(self) -> None:
        """Make `evidence` with the raw text of all quarantined rows that could be read."""
        raws = ", ".join([SOURCE_LINE, *(column.raw for column in self.mapping.columns)])
        self.connection.execute(f"create or replace table {_EVIDENCE} as select {raws} from {_FAULTY}")
        if not self._count(_SET_ASIDE):
            return
        for batch in self.records.batches(lambda _, batch: batch):
            self.connection.register("again", batch.table.append_column(SOURCE_LINE, pa.array(batch.lines)))
            self.connection.execute(
                f"insert into {_EVIDENCE} select {raws}"
                f" from again semi join {_SET_ASIDE} using ({SOURCE_LINE})"
            )
            self.connection.unregister("again")

    def _write_quarantine(self) -> None:
        self._make_party_values()
        purposes: dict[str, list[tuple[str, str]]] = {}
        for column, field_name in self.mapping.party_fields.items():
            purposes.setdefault(purpose_of(field_name), []).append((_EVIDENCE, column.raw))
        for field_name in self.mapping.other_parties:
            purposes.setdefault(purpose_of(field_name), []).append((_PARTY_VALUES, field_name))
        make_pseudonym_tables(self.connection, self.pseudonymiser, self.member_iso2, purposes)
        target = quote_literal(self.target / QUARANTINE_FILE)
        self.connection.execute(
            f"copy (from ({self._quarantine_sql()}) order by {SOURCE_LINE}) to {target}"
            " (format parquet, compression zstd)"
        )

    def _make_party_values(self) -> None:
        """Make a table of the parties that no raw column of the evidence is the pseudonym of."""
        fields = ", ".join([SOURCE_LINE, *map(quote_identifier, self.mapping.other_parties)])
        self.connection.execute(
            f"create or replace table {_PARTY_VALUES} as"
            f" {self.mapping.typed_layers(_EVIDENCE, SOURCE_LINE)} select {fields} from typed"
        )

    def _quarantine_sql(self) -> str:
        """Return SQL of the quarantine: rows with their used columns as JSON, lines by their place only.

        A line that cannot be split may hold a name anywhere, so its text stays in the raw file.
        """
        parties = {column.raw: field for column, field in self.mapping.party_fields.items()}
        pseudonyms, joins = join_pseudonyms(parties, _EVIDENCE)
        others, other_joins = join_pseudonyms(
            {name: name for name in self.mapping.other_parties}, _PARTY_VALUES, alias="other_person"
        )
        pairs = ", ".join(
            [
                *(
                    f"{quote_literal(column.name)}, {pseudonyms.get(column.raw, f'{_EVIDENCE}.{column.raw}')}"
                    for column in self.mapping.columns
                ),
                *(f"{quote_literal(f'canonical {name}')}, {value}" for name, value in others.items()),
            ]
        )
        place = quote_literal(f"raw/{self.member_iso2}/{self.raw.folder.name}/{self.raw.file_name}")
        line = self._line_sql(f"found.{SOURCE_LINE}")
        return f"""
            with found as (
                select {SOURCE_LINE}, problems, {SOURCE_LINE} as line_of_row from {_FAULTY}
                union all select {SOURCE_LINE}, problems, {SOURCE_LINE} from {_SET_ASIDE}
                union all select {SOURCE_LINE}, problems, null from {_UNREADABLE}
            )
            select
                found.{SOURCE_LINE},
                list_transform(found.problems, lambda problem: problem.message) as reasons,
                list_transform(found.problems, lambda problem: problem.kind) as reason_kinds,
                cast(case when line_of_row is not null then json_object({pairs})
                    else json_object('text_kept_in', {place}, 'line', {line}) end as VARCHAR)
                    as record,
                {quote_literal(self.raw.extract_id)} as extract_id,
                {quote_literal(self.raw.file_name)} as source_file
            from found
            left join {_EVIDENCE}
                on found.line_of_row = {_EVIDENCE}.{SOURCE_LINE}{joins}
            left join {_PARTY_VALUES}
                on found.line_of_row = {_PARTY_VALUES}.{SOURCE_LINE}{other_joins}
        """

    def _reasons(self) -> dict[str, int]:
        found = " union all ".join(f"select problems from {table}" for table in self._apart)
        rows = self.connection.execute(
            f"select problem.kind, count(*) from (select unnest(problems) as problem from ({found}))"
            " group by all order by all"
        ).fetchall()
        return {str(kind): int(count) for kind, count in rows}

    def _registered_range(self, rows: Path, landed: int) -> tuple[date | None, date | None]:
        if not landed or "registered_date" not in self.mapping.dataset.by_name:
            return None, None
        found: Any = self.connection.execute(
            f"select min(registered_date), max(registered_date) from read_parquet({quote_literal(rows)})"
        ).fetchone()
        return found[0], found[1]

    def _count(self, relation: str) -> int:
        row = self.connection.execute(f"select count(*) from {relation}").fetchone()
        return int(row[0]) if row else 0
