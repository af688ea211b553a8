"""XML: one element, repeated, is a record. Streamed; document types and entities are refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewaiter.contracts import XmlFormat
from tidewaiter.landing.decoding import utf8_chunks
from tidewaiter.landing.formats.opening import MOST_COLUMNS, Opening, no_rejects_sql
from tidewaiter.landing.formats.rows import RowWriter
from tidewaiter.landing.staged import SOURCE_LINE, Staged, raw_column
from tidewaiter.warehouse import quote_literal

if TYPE_CHECKING:
    from lxml import etree

_log = logging.getLogger(__name__)
_RECORDS_FILE = "records.parquet"
_PARENT_FILE = "parent-{}.parquet"


@dataclass(frozen=True)
class XmlSource:
    """One XML file; `source_line` is the number of the record in the file."""

    opening: Opening
    xml_format: XmlFormat
    header: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        columns = _Reading(self.opening, self.xml_format).run()
        names = list(columns) or [name for name in self.opening.wanted if name not in self._header_fields]
        object.__setattr__(self, "header", (*names, *self._header_fields))

    def stage(self, positions: Sequence[int]) -> Staged:
        """Join each record with the values around it; see `Source.stage`."""
        parents = _parents(self.xml_format)
        own = len(self.header) - len(self._header_fields)
        columns = [f"record.number as {SOURCE_LINE}"]
        columns += [
            f"record.values[{place + 1}] as {raw_column(place)}" for place in positions if place < own
        ]
        for place, name in enumerate(self._header_fields, start=own):
            ancestor = self._header_fields[name].partition("/")[0]
            index = [*parents[ancestor]].index(name) + 1
            if place in positions:
                alias = f"parent_{[*parents].index(ancestor)}"
                columns.append(f"{alias}.values[{index}] as {raw_column(place)}")
        joins = "".join(
            f" left join {self._read(_PARENT_FILE.format(number))} as parent_{number}"
            f" on parent_{number}.number = record.parents[{number + 1}]"
            for number in range(len(parents))
        )
        records = f"select {', '.join(columns)} from {self._read(_RECORDS_FILE)} as record{joins}"
        if joins:
            # Written, because a join has no order of its own and batches are read by line.
            joined = self.opening.copy(f"{records} order by record.number", "joined.parquet")
            records = f"select * from {joined}"
        return self.opening.staged(records, no_rejects_sql())

    @property
    def _header_fields(self) -> dict[str, str]:
        return self.xml_format.header_fields

    def _read(self, name: str) -> str:
        return f"read_parquet({quote_literal(self.opening.folder / name)})"


def _parents(xml_format: XmlFormat) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return for each element around the records its columns, each with its path below the element."""
    parents: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, path in xml_format.header_fields.items():
        ancestor, *below = path.split("/")
        parents.setdefault(ancestor, {})[name] = tuple(below)
    return parents


@dataclass
class _Parent:
    """One kind of element around the records: those that are open, and the values found so far."""

    fields: dict[str, tuple[str, ...]]
    writer: RowWriter
    opened: int = 0
    open: list[tuple[int, dict[str, str]]] = field(default_factory=list)


@dataclass
class _Reading:
    """One pass over a file. Only records, the elements around them and their values raise events."""

    opening: Opening
    xml_format: XmlFormat
    columns: dict[str, int] = field(default_factory=dict)
    _local: dict[str, str] = field(default_factory=dict)
    _depth: int = 0
    _around: list[int | None] = field(default_factory=list)

    def run(self) -> dict[str, int]:
        """Write records and parents; return the columns of the records by place."""
        from contextlib import ExitStack

        from lxml import etree

        if not self.opening.path.stat().st_size:
            raise self.opening.error("the file is empty", expected="XML")
        etree.clear_error_log()  # of the file before; the parser's log is the thread's
        folder = self.opening.folder
        with ExitStack() as stack:
            records = stack.enter_context(RowWriter(folder / _RECORDS_FILE))
            self._parents = {
                ancestor: _Parent(
                    fields, stack.enter_context(RowWriter(folder / _PARENT_FILE.format(number)))
                )
                for number, (ancestor, fields) in enumerate(_parents(self.xml_format).items())
            }
            try:
                for event, element in self._events(stack.enter_context(self._readable().open("rb"))):
                    if event == "start":
                        self._start(element)
                    else:
                        self._end(element, records)
            except etree.XMLSyntaxError as error:
                raise self.opening.error(f"not well-formed XML: {_in_words(error)}") from None
        if not records.rows:
            _log.warning("%s: no element '%s' in the file", self.opening.where, self.xml_format.record)
        return self.columns

    def _readable(self) -> Path:
        if self.xml_format.encoding is None:
            return self.opening.path
        readable = self.opening.folder / "source.xml"
        with readable.open("wb") as writer:
            for chunk in utf8_chunks(self.opening.path, self.xml_format.encoding, self.opening.where):
                writer.write(chunk)
        return readable

    def _events(self, handle: Any) -> Iterator[tuple[str, etree._Element]]:
        from lxml import etree

        watched = {self.xml_format.record, *self._parents}
        for parent in self._parents.values():
            watched |= {name for path in parent.fields.values() for name in path[-2:] if name[0] != "@"}
        root_seen = False
        # `huge_tree` off bounds depth and text; the first event is for the root, whatever its name.
        for event, element in etree.iterparse(
            handle,
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            attribute_defaults=False,
            huge_tree=False,
            recover=False,
            remove_comments=True,
            remove_pis=True,
            collect_ids=False,
            encoding="utf-8" if self.xml_format.encoding else None,
        ):
            if not root_seen:
                root_seen = True
                if element.getroottree().docinfo.doctype:
                    raise self.opening.error(
                        "the file has a document type declaration", expected="XML without DTD and entities"
                    )
            if self._name(element) in watched:
                yield event, element

    def _name(self, element: etree._Element) -> str:
        tag = element.tag
        if (name := self._local.get(tag)) is None:
            name = self._local[tag] = tag.rpartition("}")[2]
        return name

    def _start(self, element: etree._Element) -> None:
        name = self._name(element)
        if name == self.xml_format.record:
            self._depth += 1
            if self._depth == 1:
                self._around = [
                    parent.open[-1][0] if parent.open else None for parent in self._parents.values()
                ]
        elif self._depth == 0 and (parent := self._parents.get(name)) is not None:
            parent.opened += 1
            parent.open.append((parent.opened, {}))

    def _end(self, element: etree._Element, records: RowWriter) -> None:
        name = self._name(element)
        if name == self.xml_format.record:
            self._depth -= 1
            if self._depth == 0:
                records.add(records.rows + 1, self._values(element), self._around)
                _forget(element)
            return
        if self._depth == 0:
            self._take_header_values(element)
        if (parent := self._parents.get(name)) is not None and self._depth == 0:
            number, found = parent.open.pop()
            parent.writer.add(number, [found.get(column) for column in parent.fields])

    def _take_header_values(self, element: etree._Element) -> None:
        """Note the values of an element outside all records that a column is mapped to."""
        for ancestor, parent in self._parents.items():
            for column, path in parent.fields.items():
                steps, attribute = (path[:-1], path[-1][1:]) if path[-1][0] == "@" else (path, "")
                if parent.open and self._stands_at(element, (ancestor, *steps)):
                    text = element.get(attribute) if attribute else _own_text(element)
                    _add(parent.open[-1][1], column, text or "")

    def _stands_at(self, element: etree._Element | None, steps: tuple[str, ...]) -> bool:
        for step in reversed(steps):
            if element is None or self._name(element) != step:
                return False
            element = element.getparent()
        return True

    def _values(self, element: etree._Element) -> list[str | None]:
        found: dict[str, str] = {}
        self._flatten(element, "", found)
        for path in found:
            if path not in self.columns:
                self.columns[path] = len(self.columns)
                if len(self.columns) > MOST_COLUMNS:
                    raise self.opening.error(f"the records have more than {MOST_COLUMNS} different columns")
        values: list[str | None] = [None] * len(self.columns)
        for path, text in found.items():
            values[self.columns[path]] = text
        return values

    def _flatten(self, element: etree._Element, prefix: str, found: dict[str, str]) -> None:
        for name, text in element.attrib.items():
            _add(found, f"{prefix}/@{_after_namespace(name)}".lstrip("/"), str(text))
        if len(element) == 0:
            _add(found, prefix or ".", element.text or "")
            return
        for child in element:
            name = self._name(child)
            self._flatten(child, f"{prefix}/{name}" if prefix else name, found)
        if own := _own_text(element).strip():
            _add(found, prefix or ".", own)


# Limits of the parser that keep its memory bounded; its own message advises to lift them.
_LIMITS = {
    "Excessive depth": "elements within elements deeper than 256",
    "Text node too long": "a text longer than 10,000,000 characters",
    "Attribute length too long": "an attribute longer than 10,000,000 characters",
}


def _in_words(error: etree.XMLSyntaxError) -> str:
    """Return what is wrong and where: names of the file perhaps, but no text of it."""
    message = str(error.msg).replace("\n", " ").strip()
    logged = [entry for entry in error.error_log if entry.line == error.lineno] or list(error.error_log)
    if message == "no element found" and logged:
        message = f"{logged[0].message.strip()}, line {logged[0].line}, column {logged[0].column}"
    place = message[message.index(", line") :] if ", line" in message else ""
    limit = next((words for limit, words in _LIMITS.items() if limit in message), None)
    return f"{limit}{place}" if limit else message


def _after_namespace(name: str) -> str:
    return str(name).rpartition("}")[2]


def _own_text(element: etree._Element) -> str:
    return (element.text or "") + "".join(child.tail or "" for child in element)


def _add(found: dict[str, Any], path: str, text: str) -> None:
    """Add a value; of several at one path make a JSON list."""
    found[path] = _Several([*_several(found[path]), text]) if path in found else text


class _Several(str):
    """A JSON list of texts that grows."""

    texts: list[str]

    def __new__(cls, texts: list[str]) -> _Several:
        made = super().__new__(cls, json.dumps(texts, ensure_ascii=False))
        made.texts = texts
        return made


def _several(value: str) -> list[str]:
    return value.texts if isinstance(value, _Several) else [value]


def _forget(element: etree._Element) -> None:
    """Free a record, and all that stands complete before it, so that memory stays bounded."""
    element.clear()
    ancestor: etree._Element | None = element
    while ancestor is not None:
        parent = ancestor.getparent()
        while parent is not None and ancestor.getprevious() is not None:
            del parent[0]
        ancestor = parent
