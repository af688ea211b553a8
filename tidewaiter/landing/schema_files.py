"""Landed files without rows, one per dataset: they give dbt the columns before any member has sent."""

from __future__ import annotations

from tidewaiter import files
from tidewaiter.canonical import DATASETS, load_dataset
from tidewaiter.home import Home
from tidewaiter.landing.receipts import ROWS_FILE
from tidewaiter.warehouse import quote_identifier, quote_literal

NO_MEMBER = "00"
SCHEMA_EXTRACT = "schema"
_FINGERPRINT_FILE = "schema.json"


def write_schema_files(home: Home) -> None:
    """Write `landing/<dataset>/member=00/extract=schema/rows.parquet`, zero rows, where it is not current."""
    import duckdb

    for name in DATASETS:
        dataset = load_dataset(name)
        folder = home.extract_folder(name, NO_MEMBER, SCHEMA_EXTRACT)
        current = {"canonical_fingerprint": dataset.fingerprint}
        if (folder / ROWS_FILE).exists() and files.read_json(folder / _FINGERPRINT_FILE) == current:
            continue
        columns = ", ".join(
            f"cast(null as {kind}) as {quote_identifier(column)}"
            for column, kind in dataset.landed_columns.items()
        )
        with files.folder_replaced_atomically(folder) as partial, duckdb.connect() as connection:
            connection.execute(
                f"copy (select {columns} where false) to {quote_literal(partial / ROWS_FILE)}"
                " (format parquet, compression zstd)"
            )
            files.write_json_atomically(partial / _FINGERPRINT_FILE, current)
