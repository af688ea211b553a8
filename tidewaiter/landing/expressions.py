"""Expressions of contracts: DuckDB SQL over one row's source columns, and nothing beyond that row.

A contract is configuration, so an expression must not read files, look at the clock or fold rows.
DuckDB's own parser takes it apart and puts it together again over our column names; the text is
neither searched for keywords nor pasted into a query.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidewaiter.contracts.model import fill_parameters

if TYPE_CHECKING:
    import duckdb

_ROW_FUNCTION_TYPES = ("scalar", "macro")
_OTHER_CLAUSES = ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")


@dataclass(frozen=True)
class ParsedExpression:
    """An expression that was taken apart.

    Attributes:
        columns: Source columns that it uses, sorted.
        faults: Why it must not run, in words; empty where it may.
        tree: DuckDB's syntax tree of `select <expression>`.
    """

    columns: tuple[str, ...]
    faults: tuple[str, ...]
    tree: Any

    def sql_over(self, connection: duckdb.DuckDBPyConnection, names: Mapping[str, str]) -> str:
        """Return the expression as SQL over other column names, such as internal ones."""
        tree = copy.deepcopy(self.tree)
        for node in _nodes(tree):
            if node.get("class") == "COLUMN_REF" and node["column_names"][0] in names:
                node["column_names"][0] = names[node["column_names"][0]]
        select = _value(connection, "select json_deserialize_sql(?::json)", json.dumps(tree))
        return select.removeprefix("SELECT ")


def parse_expression(
    connection: duckdb.DuckDBPyConnection, expression: str, parameters: Mapping[str, int | float]
) -> ParsedExpression:
    """Take an expression apart and note what it must not do."""
    sql = fill_parameters(expression, parameters)
    tree = json.loads(_value(connection, "select json_serialize_sql(?)", f"select {sql}"))
    if tree["error"]:
        return ParsedExpression((), (f"not SQL: {tree['error_message']}",), tree)
    if not _is_one_expression(tree):
        return ParsedExpression((), ("give one expression, without from, where or a second column",), tree)
    nodes = list(_nodes(tree["statements"][0]["node"]["select_list"]))
    bound = {node["lhs"]["column_names"][0] for node in nodes if _is_lambda_of_one(node)}
    columns = {node["column_names"][0] for node in nodes if node.get("class") == "COLUMN_REF"} - bound
    return ParsedExpression(tuple(sorted(columns)), tuple(_faults(connection, nodes)), tree)


def _is_one_expression(tree: Any) -> bool:
    node = tree["statements"][0]["node"] if len(tree["statements"]) == 1 else {}
    return (
        node.get("type") == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not any(node[clause] for clause in _OTHER_CLAUSES)
        and not node["cte_map"]["map"]
    )


def _faults(connection: duckdb.DuckDBPyConnection, nodes: list[dict[str, Any]]) -> Iterator[str]:
    classes = {node.get("class") for node in nodes}
    if "SUBQUERY" in classes:
        yield "a subquery looks beyond the row"
    if "WINDOW" in classes:
        yield "a window function looks beyond the row"
    if "STAR" in classes:
        yield "name the columns instead of *"
    functions = sorted({node["function_name"].lower() for node in nodes if node.get("class") == "FUNCTION"})
    kinds = connection.execute(
        "select function_name, bool_and(list_contains(?, function_type)),"
        " bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT')"
        " from duckdb_functions() where list_contains(?, function_name) group by all order by all",
        [list(_ROW_FUNCTION_TYPES), functions],
    ).fetchall()
    for function, works_on_rows, is_consistent in kinds:
        if not works_on_rows:
            yield f"{function}() works on many rows"
        elif not is_consistent:
            yield f"{function}() gives another value each time it runs"


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for element in value:
            yield from _nodes(element)


def _is_lambda_of_one(node: dict[str, Any]) -> bool:
    return node.get("class") == "LAMBDA" and node["lhs"].get("class") == "COLUMN_REF"


def _value(connection: duckdb.DuckDBPyConnection, query: str, parameter: str) -> str:
    row = connection.execute(query, [parameter]).fetchone()
    return str(row[0]) if row else ""
