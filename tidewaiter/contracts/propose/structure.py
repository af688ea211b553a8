"""Nested samples: which element or list of a JSON or XML sample holds the records, and what stands around.

The record is the goods line where there is one: from the outermost thing that repeats, the way goes
down to what repeats within it, as long as that says at least half as much or is called an item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidewaiter.contracts.formats import join_path
from tidewaiter.contracts.propose.names import similarity

_LEAST_VALUES = 3
_SHARE_OF_PARENT = 0.5
_ITEM_NAME = 0.9
_MOST_ELEMENTS = 200_000
_MOST_LINES = 2_000
_NAMESPACE_END = "}"


@dataclass
class Node:
    """One kind of element, or one key: what stands below it, over all its occurrences.

    Attributes:
        name: Name of the element, or the key.
        repeats: It occurs several times within one parent.
        is_value: Somewhere it is a value and no container.
        is_list_of_lists: Somewhere it is a list of lists: positional records.
    """

    name: str
    repeats: bool = False
    is_value: bool = False
    is_list_of_lists: bool = False
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, name: str) -> Node:
        """Return the child of that name; a new one where there is none."""
        return self.children.setdefault(name, Node(name))

    def values(self, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yield the paths of the values below, not into what repeats."""
        for name, child in self.children.items():
            if child.repeats:
                continue
            if child.children:
                yield from child.values((*way, name))
            elif child.is_value:
                yield (*way, name)

    def repeated(self, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Yield what repeats below, on each way down as far as something that says much."""
        for name, child in self.children.items():
            if child.repeats:
                yield (*way, name), child
                if not _says_much(child):  # what repeats in it may be the records all the same
                    yield from child.repeated((*way, name))
            else:
                yield from child.repeated((*way, name))


def find_record(top: Node) -> tuple[tuple[str, ...], Node]:
    """Return the path from the top to the records, and their node; the top itself where nothing repeats."""
    path: tuple[str, ...] = ()
    here, is_record = top, top.repeats
    while True:
        found = max(
            (one for one in here.repeated() if _says_much(one[1])),
            key=lambda one: _size(one[1]),
            default=None,
        )
        if found is None:
            return path, here
        way, below = found
        is_item = similarity(below.name, "item") >= _ITEM_NAME
        if is_record and not is_item and _size(below) < _SHARE_OF_PARENT * _size(here):
            return path, here
        path, here, is_record = (*path, *way), below, True


def _says_much(node: Node) -> bool:
    return node.is_list_of_lists or _size(node) >= _LEAST_VALUES


def _size(node: Node) -> int:
    return sum(1 for _ in node.values())


def along(top: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Yield the nodes above the records, the top first, each with its path."""
    here = top
    for depth, name in enumerate(path):
        yield path[:depth], here
        here = here.children[name]


# JSON


def json_format(head: str, path: Path, largest_mb: int) -> tuple[dict[str, Any], tuple[str, ...]] | None:
    """Return the format of a JSON sample and notes; None where it is no JSON that can be taken apart."""
    lines = [line for line in head.splitlines() if line.strip()]
    if len(lines) > 1 and (records := _records_of_lines(lines)) is not None:
        top = Node("record", repeats=True)
        for record in records:
            _add_json(top, record)
        return _with_items({"kind": "json", "layout": "lines"}, top), ()
    if path.stat().st_size > largest_mb << 20:
        return None
    try:
        document = json.loads(head)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, list):
        return _array_format(document)
    return _document_format(document) if isinstance(document, dict) else None


def _records_of_lines(lines: list[str]) -> list[Any] | None:
    try:
        records = [json.loads(line) for line in lines[:_MOST_LINES]]
    except (ValueError, RecursionError):
        return None
    return records if all(isinstance(record, dict) for record in records) else None


def _array_format(document: list[Any]) -> tuple[dict[str, Any], tuple[str, ...]] | None:
    found: dict[str, Any] = {"kind": "json"}
    if document and all(isinstance(record, list) for record in document):
        return found | {"record": "array"}, ("the first record is taken for the names of the columns",)
    top = Node("record", repeats=True)
    for record in document[:_MOST_LINES]:
        _add_json(top, record)
    return _with_items(found, top), ()


def _document_format(document: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    top = Node("document")
    _add_json(top, document)
    found = _with_items({"kind": "json", "layout": "document"}, top)
    if "items" not in found:
        return found, ("the whole document is taken for one record: nothing in it repeats",)
    records = top
    for key in find_record(top)[0]:
        records = records.children[key]
    if not records.is_list_of_lists:
        return found, ()
    return _positional(found, document)


def _positional(found: dict[str, Any], document: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    found |= {"record": "array"}
    found.pop("header_fields", None)
    names = [
        key for key, value in document.items() if isinstance(value, list) and value and _are_names(value)
    ]
    if names:
        return found | {"columns_path": join_path(names[:1])}, ()
    return found, ("the first record is taken for the names of the columns",)


def _are_names(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _with_items(found: dict[str, Any], top: Node) -> dict[str, Any]:
    path, _ = find_record(top)
    if not path:
        return found
    above = [join_path((*way, *value)) for way, node in along(top, path) for value in node.values()]
    return found | {"items": join_path(path)} | ({"header_fields": above} if above else {})


def _add_json(node: Node, value: Any, depth: int = 0) -> None:
    if not isinstance(value, dict) or depth > 20:
        node.is_value = node.is_value or value is not None
        return
    for key, below in value.items():
        child = node.child(key)
        if isinstance(below, list) and below and all(isinstance(one, dict) for one in below):
            child.repeats = True
            for one in below[:_MOST_LINES]:
                _add_json(child, one, depth + 1)
        elif isinstance(below, list) and len(below) > 1 and all(isinstance(one, list) for one in below):
            child.repeats = child.is_list_of_lists = True
        else:
            _add_json(child, below, depth + 1)


# XML


def xml_format(path: Path) -> dict[str, Any] | None:
    """Return the format of an XML sample; None where it is not well-formed or nothing in it repeats."""
    top = _read_xml(path)
    if top is None:
        return None
    way, record = find_record(top)
    if not way and not top.repeats:
        return None
    above: dict[str, str] = {}
    for _, node in along(top, way):
        for value in node.values():
            # A column is called by what stands below the element; in full where that is taken.
            place = "/".join((node.name, *value))
            name = "/".join(value)
            above[place if name in above else name] = place
    return {"kind": "xml", "record": record.name} | ({"header_fields": above} if above else {})


def _read_xml(path: Path) -> Node | None:
    from lxml import etree

    top: Node | None = None
    open_nodes: list[tuple[Node, dict[str, int]]] = []
    events = etree.iterparse(
        str(path), events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False
    )
    try:
        for number, (event, element) in enumerate(events):
            if event == "start":
                if element.getroottree().docinfo.doctype or number > _MOST_ELEMENTS:
                    return top if number > _MOST_ELEMENTS else None
                name = str(element.tag).rpartition(_NAMESPACE_END)[2]
                node = _opened(open_nodes, name)
                top = top or node
                for attribute in element.attrib:
                    node.child(f"@{str(attribute).rpartition(_NAMESPACE_END)[2]}").is_value = True
                open_nodes.append((node, {}))
            else:
                node, _ = open_nodes.pop()
                node.is_value = node.is_value or not len(element)
                element.clear()
    except etree.XMLSyntaxError:
        return None
    return top


def _opened(open_nodes: list[tuple[Node, dict[str, int]]], name: str) -> Node:
    if not open_nodes:
        return Node(name)
    parent, seen = open_nodes[-1]
    node = parent.child(name)
    seen[name] = seen.get(name, 0) + 1
    node.repeats = node.repeats or seen[name] > 1
    return node
