"""JSON: records in an array, one per line, or below a header; objects with names, or lists of values.

DuckDB parses; here is what it is asked. Each record keeps its own text until its values are taken
out, so that one that does not fit costs itself and not the file.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidewaiter.contracts import JsonFormat
from tidewaiter.contracts.formats import join_path, split_path
from tidewaiter.landing.decoding import check_mark, utf8_chunks
from tidewaiter.landing.formats.json_paths import (
    children_sql,
    exact_numbers_sql,
    keys_sql,
    texts_sql,
    walk_sql,
)
from tidewaiter.landing.formats.json_structure import Structure
from tidewaiter.landing.formats.opening import Opening, numbered
from tidewaiter.landing.formats.text_lines import UNDECODABLE, copy_lines
from tidewaiter.landing.staged import SOURCE_LINE, Staged, raw_column
from tidewaiter.warehouse import quote_literal

_LONGEST_RECORD_BYTES = 1 << 26
_MIB = 1 << 20

_NOT_JSON = "the line is not JSON"
_NO_ITEMS = "nothing stands at the path of the items"
_KEY_TWICE = "a key stands twice in the record"
_OTHER_LENGTH = "the record has another number of values than the header"


@dataclass(frozen=True)
class JsonSource:
    """One JSON file.

    `source_line` is the physical line for a record on each line, else the number of the record: of
    the item, where there are items.
    """

    opening: Opening
    json_format: JsonFormat
    header: tuple[str, ...] = field(init=False)
    _records: str = field(init=False)
    _paths: tuple[tuple[str, ...], ...] = field(init=False)
    _doubles: frozenset[tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        top = _copy_top(self.opening, self.json_format)
        records = _copy_records(self.opening, self.json_format, top)
        doubles: frozenset[tuple[str, ...]] = frozenset()
        if self.json_format.record == "array":
            names, records = _names_of_values(self.opening, self.json_format, top, records)
            paths: tuple[tuple[str, ...], ...] = tuple((str(place),) for place in range(len(names)))
        else:
            structure = Structure(self.opening, records)
            structure.find()
            paths, doubles = tuple(structure.paths), frozenset(structure.doubles)
            names = [join_path(path).strip() for path in paths]
            if not _has_rows(self.opening, records):
                names = [name for name in self.opening.wanted if name not in self.json_format.header_fields]
                paths = tuple((name,) for name in names)
        object.__setattr__(self, "header", (*names, *self.json_format.header_fields))
        object.__setattr__(self, "_records", records)
        object.__setattr__(self, "_paths", paths)
        object.__setattr__(self, "_doubles", doubles)

    def stage(self, positions: Sequence[int]) -> Staged:
        """Take the values out of each record; see `Source.stage`."""
        own = [place for place in positions if place < len(self._paths)]
        columns = [SOURCE_LINE]
        columns += [f"found[{number}] as {raw_column(place)}" for number, place in enumerate(own, start=1)]
        columns += [
            f"above[{place - len(self._paths) + 1}] as {raw_column(place)}"
            for place in positions
            if place >= len(self._paths)
        ]
        found = texts_sql("record", [self._paths[place] for place in own])
        fault = self._fault_sql(own)
        return self.opening.staged(
            f"select {', '.join(columns)} from (select {SOURCE_LINE}, above, {found} as found"
            f" from {self._records} where {fault} is null)",
            f"select {SOURCE_LINE}, kind, kind || detail as message from (select {SOURCE_LINE},"
            f" {fault} as kind, {self._detail_sql()} as detail from {self._records}) where kind is not null",
        )

    def _fault_sql(self, own: list[int]) -> str:
        """Return SQL of the fault of a record, null where it can be read."""
        if self.json_format.record == "array":
            return (
                "case when fault is not null then fault when json_array_length(record)"
                f" <> {len(self._paths)} then {quote_literal(_OTHER_LENGTH)} end"
            )
        doubled = []
        for parent in sorted(self._doubles):
            used = {
                path[len(parent)] for place in own if (path := self._paths[place])[: len(parent)] == parent
            }
            if used:
                listed = ", ".join(quote_literal(key) for key in sorted(used))
                keys = f"list_filter({keys_sql('record', parent)}, lambda key: key in ({listed}))"
                doubled.append(f"len({keys}) > len(list_distinct({keys}))")
        if not doubled:
            return "fault"
        return (
            "case when fault is not null then fault"
            f" when {' or '.join(doubled)} then {quote_literal(_KEY_TWICE)} end"
        )

    def _detail_sql(self) -> str:
        if self.json_format.record == "object":
            return "''"
        count = f"': ' || json_array_length(record) || ' where the header has {len(self._paths)}'"
        return f"case when fault is null then {count} else '' end"


def _copy_top(opening: Opening, json_format: JsonFormat) -> str:
    """Write the outermost records and return SQL of them: `source_line`, `record`, `fault`."""
    if json_format.layout == "lines":
        lines = copy_lines(opening, json_format.encoding, 0)
        exact = exact_numbers_sql("line", json_format.decimal_mark)
        return (
            f"(select {SOURCE_LINE}, case when json_valid(line) then {exact} end as record,"
            f" case when line is null then {quote_literal(UNDECODABLE)}"
            f" when not json_valid(line) then {quote_literal(_NOT_JSON)} end as fault from {lines}"
            " where line is null or trim(line) <> '')"
        )
    readable = _readable(opening, json_format.encoding)
    if json_format.layout == "array":
        records = opening.copy(
            f"select cast(json as VARCHAR) as record from read_json_objects({quote_literal(readable)},"
            f" format = 'array', maximum_object_size = {_LONGEST_RECORD_BYTES})",
            "top.parquet",
        )
    else:
        if readable.stat().st_size > json_format.largest_document_mb * _MIB:
            raise opening.error(
                f"the document is larger than {json_format.largest_document_mb} MB",
                next_step="have it sent as one record per line, or raise format.largest_document_mb",
            )
        records = opening.copy(
            f"select content as record from read_text({quote_literal(readable)})", "top.parquet"
        )
        # For its message: what is no JSON at which place.
        opening.execute(f"select count(json(record)) from {records}").fetchone()
    exact = exact_numbers_sql("record", json_format.decimal_mark)
    return (
        f"(select {SOURCE_LINE}, {exact} as record, cast(null as VARCHAR) as fault from {numbered(records)})"
    )


def _readable(opening: Opening, encoding: str) -> Path:
    """Return the file as UTF-8 under a name without a pattern's characters in it."""
    readable = opening.folder / "source.json"
    check_mark(opening.path, encoding, opening.where)
    with opening.path.open("rb") as handle:
        start = handle.read(_MIB)
    if not start.removeprefix(codecs.BOM_UTF8).strip(b"\0 \t\r\n"):
        raise opening.error("the file is empty", expected="JSON")
    if encoding == "utf-8" and not start.startswith(codecs.BOM_UTF8):
        readable.symlink_to(opening.path)
        return readable
    with readable.open("wb") as writer:
        for chunk in utf8_chunks(opening.path, encoding, opening.where):
            writer.write(chunk)
    return readable


def _copy_records(opening: Opening, json_format: JsonFormat, top: str) -> str:
    """Write the records, or their items; return SQL: `source_line`, `record`, `above`, `fault`."""
    if json_format.items is None:
        found = f"select {SOURCE_LINE}, record, cast([] as VARCHAR[]) as above, fault from {top}"
    else:
        items = opening.copy(walk_sql(json_format.items, json_format.header_fields, top), "items.parquet")
        found = (
            f"select {SOURCE_LINE}, record, above, case when fault is not null then fault"
            f" when record is null then {quote_literal(_NO_ITEMS)} end as fault from {numbered(items)}"
        )
    kind = "OBJECT" if json_format.record == "object" else "ARRAY"
    wrong = quote_literal(f"the record is no {json_format.record}")
    return opening.copy(
        f"select {SOURCE_LINE}, case when fault is null then record end as record, above,"
        f" case when fault is not null then fault when json_type(record) <> '{kind}' then {wrong} end"
        " as fault"
        f" from ({found})",
        "records.parquet",
    )


def _names_of_values(
    opening: Opening, json_format: JsonFormat, top: str, records: str
) -> tuple[list[str], str]:
    """Return the names of positional values, and the records without the one that held them."""
    if json_format.columns:
        return list(json_format.columns), records
    if json_format.columns_path:
        query = f"select record as level from {top}"
        for key in split_path(json_format.columns_path):
            query = f"select unnest({children_sql('level', key)}) as level from ({query})"
    else:
        first = f"select * from {records} order by {SOURCE_LINE} limit 1"
        query = f"select unnest(json_extract(record, '$[*]')) as level from ({first}) where fault is null"
        records = (
            f"(select * from {records} where {SOURCE_LINE} > (select min({SOURCE_LINE}) from {records}))"
        )
    found = opening.execute(f"select json_extract_string(level, '$') from ({query})").fetchall()
    if not found:
        raise opening.error(
            "no names of the columns", expected="a first record, or a list at columns_path, that holds them"
        )
    return [str(name or "").strip() for (name,) in found], records


def _has_rows(opening: Opening, records: str) -> bool:
    return opening.execute(f"select 1 from {records} where fault is null limit 1").fetchone() is not None
