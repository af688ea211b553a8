"""Reading the integrity signals, and the set of them that stands apart.

Everything lies under `integrity/` in the home folder, which its owner alone can enter. Whoever views signals
by these functions is on record before anything is returned (`flows.access`); who opens files directly is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.access import private_folder, record_access, require_purpose
from flows.progress import step
from tidewaiter import fingerprint
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem, closest
from tidewaiter.files import folder_replaced_atomically, read_json, write_json_atomically
from tidewaiter.settings import PROJECT_ROOT, Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

DUCKDB_FILE = "signals.duckdb"  # a file `integrity` with a schema `integrity` would be ambiguous
_OWNER_READS = 0o400
_SET = "published"
_MADE_OF = "made_of.json"


def published_set(settings: Settings) -> Path:
    """Return the folder of the integrity set; it is apart from the analysts' published set."""
    return settings.paths.integrity / _SET


def publish_signals(settings: Settings) -> Path:
    """Write all signals and their combination by entity as a set of their own: Parquet and one DuckDB file.

    The folder takes the place of the one before in one rename. Only its owner can enter it. A set of the same
    signals, made by the same code, stays as it is.
    """
    private_folder(settings.paths.integrity)
    target = published_set(settings)
    made_of = {"signals": _digest_of_signals(settings)}
    with step("publish integrity") as running:
        if read_json(target / _MADE_OF) == made_of and (target / DUCKDB_FILE).is_file():
            running.note("unchanged")
        else:
            _write_set(settings, target, made_of)
    return target


def _digest_of_signals(settings: Settings) -> str:
    """Return the digest of every signal and of the code that combines and writes them."""
    signals = fingerprint.of_tree(settings.paths.integrity / "signals", ["**/*.parquet"])
    code = fingerprint.of_tree(PROJECT_ROOT, ["ml/integrity/*.py", "flows/integrity_reading.py"])
    return fingerprint.of_json([signals, code])


def _write_set(settings: Settings, target: Path, made_of: dict[str, str]) -> None:
    with open_signals(settings, None) as connection:
        from ml.integrity.combine import combine_entities
        from ml.integrity.signals import column_meanings

        connection.register("combined", combine_entities(connection))
        with folder_replaced_atomically(target) as folder:
            for table, source in (("signals", "signals"), ("entities", "combined")):
                connection.execute(
                    f"copy (select * from {source} order by all)"
                    f" to {quote_literal(folder / f'{table}.parquet')} (format parquet, compression zstd)"
                )
            connection.execute(f"attach {quote_literal(folder / DUCKDB_FILE)} as published")
            connection.execute("create schema published.integrity")
            for table in ("signals", "entities"):
                connection.execute(
                    f"create table published.integrity.{table} as"
                    f" from read_parquet({quote_literal(folder / f'{table}.parquet')})"
                )
                for column, meaning in column_meanings()[table].items():
                    connection.execute(
                        f"comment on column published.integrity.{table}.{quote_identifier(column)}"
                        f" is {quote_literal(meaning)}"
                    )
            connection.execute("detach published")
            write_json_atomically(folder / _MADE_OF, made_of)
            for path in folder.iterdir():
                path.chmod(_OWNER_READS)
            folder.chmod(0o700)


def read_entities(
    settings: Settings, members: Sequence[str] | None, purpose: str | None, *, bands: Sequence[str]
) -> list[dict[str, Any]]:
    """Return persons and firms by band, the most pressing first within a kind; the view is on record.

    Args:
        settings: Where the home is.
        members: Codes; all where left out.
        purpose: Why.
        bands: Bands of severity to return.
    """
    words = require_purpose(purpose)
    with open_signals(settings, members) as connection:
        from ml.integrity.combine import combine_entities

        connection.register("combined", combine_entities(connection))
        rows = _rows(
            connection,
            "select * from combined where list_contains(?, severity)"
            " order by member_iso2, severity = 'priority' desc, combined_q_value, entity_kind, entity_id",
            [list(bands)],
        )
    record_access(settings, "signals", words, _only(members), [row["entity_id"] for row in rows])
    return rows


def read_indicators(settings: Settings, members: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return what each indicator did in its last look, by member. Nobody is named, so no view is recorded."""
    with open_signals(settings, members) as connection:
        from ml.integrity.combine import combine_entities

        combine_entities(connection)
        return _rows(
            connection,
            "select member_iso2 as member, indicator_id as indicator, max(period_end) as looked_until,"
            " count(*) filter (where status = 'computed') as tested,"
            " count(*) filter (where status = 'below support') as below_support,"
            " count(*) filter (where is_flagged) as to_be_checked,"
            " any_value(reason) filter (where status = 'not computable') as not_computable"
            " from latest group by all order by member_iso2, indicator_id",
            [],
        )


def read_flagged(
    settings: Settings, members: Sequence[str] | None, purpose: str | None, indicator: str | None
) -> list[dict[str, Any]]:
    """Return flagged rows of the last looks; the view is on record."""
    words = require_purpose(purpose)
    with open_signals(settings, members) as connection:
        from ml.integrity.combine import combine_entities

        combine_entities(connection)
        rows = _rows(
            connection,
            "select * from latest where is_flagged and (?::varchar is null or indicator_id = ?)"
            " order by member_iso2, indicator_id, q_value, unit_id, counterpart_id",
            [indicator, indicator],
        )
    shown = [row["unit_id"] for row in rows]
    record_access(settings, "signals", words, _only(members), shown, indicator=indicator)
    return rows


def write_funnels(
    settings: Settings, members: Sequence[str] | None, indicator: str, folder: Path
) -> list[Path]:
    """Draw the last look of an indicator: a picture for each member, kind of unit and what is counted of it.

    It names nobody.
    """
    from ml.integrity import funnel
    from ml.integrity.catalogue import load_catalogue
    from ml.integrity.combine import combine_entities
    from ml.plots import write_png

    (entry,) = [one for one in load_catalogue() if one.id == indicator]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with open_signals(settings, members) as connection:
        combine_entities(connection)
        kinds = _rows(
            connection,
            "select distinct member_iso2, unit_kind, observed_unit from latest"
            " where indicator_id = ? and p_value is not null order by all",
            [indicator],
        )
        for kind in kinds:
            rows = connection.execute(
                "select * from latest where indicator_id = ? and member_iso2 = ? and unit_kind = ?"
                " and observed_unit = ?",
                [indicator, *kind.values()],
            ).to_arrow_table()
            found = funnel.funnel_of(rows)
            if found is not None:
                period = f"{rows['period_start'][0]} to {rows['period_end'][0]}"
                subtitle = f"{kind['member_iso2']}, {kind['unit_kind']}, {period}; {found.x.size:,} tested"
                same_kind = [
                    one for one in kinds if one | {"observed_unit": ""} == kind | {"observed_unit": ""}
                ]
                named = f"{kind['unit_kind']} {kind['observed_unit'] if len(same_kind) > 1 else ''}"
                words = "-".join(named.replace(",", "").replace(":", "").split())
                name = f"{indicator}-{kind['member_iso2']}-{words}.png"
                figure = funnel.draw(found, f"{indicator}: {entry.title}", subtitle)
                written.append(write_png(figure, folder / name))
    return written


@contextmanager
def open_signals(settings: Settings, members: Sequence[str] | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the signals of the members as `signals`.

    Raises:
        TidewaiterError: There are none.
        UsageProblem: A member that has none.
    """
    from ml.integrity.store import read_signals

    folder = settings.paths.integrity / "signals"
    known = sorted(path.name.removeprefix("member=") for path in folder.glob("member=*"))
    asked = [code.upper() for code in members or known]
    unknown = [code for code in asked if code not in known]
    if unknown and known:
        raise UsageProblem(Problem(f"member {code} has no signals{closest(code, known)}") for code in unknown)
    table = read_signals(settings, asked)
    if not table.num_rows:
        raise TidewaiterError(
            Problem(
                "there are no integrity signals yet", where=str(folder), next_step="tidewaiter integrity run"
            )
        )
    with open_duckdb(settings) as connection:
        connection.register("signals", table)
        yield connection


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.execute(sql, parameters).to_arrow_table().to_pylist()
    return found


def _only(members: Sequence[str] | None) -> str | None:
    return ",".join(members) if members else None
