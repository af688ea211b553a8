"""Pseudonyms for whole columns: each distinct identifier is computed once and joined back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from tidewaiter.pseudonyms import Pseudonymiser, purpose_of
from tidewaiter.warehouse import quote_identifier

if TYPE_CHECKING:
    import duckdb

_BATCH_ROWS = 100_000


def make_pseudonym_tables(
    connection: duckdb.DuckDBPyConnection,
    pseudonymiser: Pseudonymiser,
    member_iso2: str,
    columns: dict[str, list[tuple[str, str]]],
) -> None:
    """Make one table (identifier, pseudonym) per purpose; see `pseudonym_table`.

    Args:
        connection: Where the identifiers are, and the tables come to be.
        pseudonymiser: Holds the key.
        member_iso2: Issuer of the identifiers.
        columns: For each purpose the (relation, column) pairs that hold its identifiers in clear.
    """
    for purpose, sources in columns.items():
        table = pseudonym_table(purpose)
        connection.execute(f"create table {table} (identifier VARCHAR, pseudonym VARCHAR)")
        union = " union ".join(
            f"select {quote_identifier(column)} as identifier from {relation}" for relation, column in sources
        )
        # A cursor of its own: the connection below inserts while this one is read.
        reading = connection.cursor()
        distinct = reading.execute(f"select distinct identifier from ({union}) where identifier is not null")
        for batch in distinct.to_arrow_reader(_BATCH_ROWS):
            identifiers = batch.column(0).to_pylist()
            pseudonyms = pseudonymiser.pseudonymise(member_iso2, purpose, identifiers)
            pairs = pa.table({"identifier": batch.column(0), "pseudonym": pa.array(pseudonyms, pa.string())})
            connection.register("pairs", pairs)
            connection.execute(f"insert into {table} select identifier, pseudonym from pairs")
            connection.unregister("pairs")


def pseudonym_table(purpose: str) -> str:
    """Return the quoted name of the purpose's table."""
    return quote_identifier(f"pseudonyms_{purpose}")


def join_pseudonyms(
    columns: dict[str, str], relation: str, alias: str = "person"
) -> tuple[dict[str, str], str]:
    """Return how columns in clear are replaced by pseudonyms; null stays null.

    Args:
        columns: Column of the relation to the canonical field whose purpose it has.
        relation: Alias of the relation that has the columns.
        alias: What the joined tables are called, with a number.

    Returns:
        SQL of the pseudonym by column, and the joins that it needs.
    """
    values, joins = {}, []
    for number, (column, field) in enumerate(columns.items()):
        person = f"{alias}_{number}"
        values[column] = f"{person}.pseudonym"
        joins.append(
            f" left join {pseudonym_table(purpose_of(field))} as {person}"
            f" on {person}.identifier = {relation}.{quote_identifier(column)}"
        )
    return values, "".join(joins)
