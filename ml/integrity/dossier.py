"""A dossier: what the indicators say of one person or firm, beside its peers, its time and its files.

Written for a reader who has to decide whether to look closer and has to be able to defend that. Innocent
explanations come before figures, what was not tested is listed, and nothing is called more than "to be
checked".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.integrity import funnel
from ml.integrity.catalogue import Entry, load_catalogue
from ml.integrity.combine import combine_entities
from ml.integrity.signals import BELOW_SUPPORT, NOT_COMPUTABLE
from ml.integrity.timeline import draw_timeline
from ml.plots import as_svg
from tidewaiter.marts import is_built, mart_path
from tidewaiter.settings import Settings
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_TEMPLATE = "dossier.html.j2"
MOST_FILES, _MOST_ROWS, _MOST_FUNNELS = 40, 40, 6
# Where declarations name each kind of person or firm.
_COLUMNS = {
    "broker": ("declarant_id",),
    "importer": ("importer_id",),
    "inspector": ("inspector_initial_id", "inspector_final_id"),
}
# Declarations name no supervisor: those whose red lane one softened are in the hand-over of draws.
_MOVED_BY_SUPERVISORS = ("integrity_draws", "importers and supervisors")
# What a counterpart of a signal may be in a declaration.
_COUNTERPARTS = ("declarant_id", "importer_id", "inspector_initial_id", "inspector_final_id", "left(hs6, 4)")
BAND_WORDS = {
    "none": "nothing to be checked",
    "note": "to be kept in mind",
    "review": "to be checked",
    "priority": "to be checked first",
}


@dataclass(frozen=True)
class Entity:
    """One row of the combination.

    Attributes:
        kind: broker, importer, inspector or supervisor.
        figures: All columns of the row.
    """

    member_iso2: str
    kind: str
    entity_id: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Dossier:
    """Everything the page shows.

    Attributes:
        entity: Whom it is about.
        purpose: Why it was made, in the analyst's words.
        made_by: Who asked for it.
        made_at: Naive UTC.
        keep_until: Last day; it is purged after.
        case_reference: Of an open case; then it is kept until the case is closed.
        flagged, others: Tested rows of the latest looks, flagged ones first.
        untested: Rows without a test, with the reason.
        history: All rows of the entity that were tested, every period.
        peers: Indicator to how the entity lies among its peers.
        pictures: Name to SVG.
        files: Declarations behind it.
        files_n: How many there are in all.
        sets: Sets (E1) that it is in.
    """

    entity: Entity
    purpose: str
    made_by: str
    made_at: datetime
    keep_until: date
    case_reference: str | None
    flagged: list[dict[str, Any]]
    others: list[dict[str, Any]]
    untested: list[dict[str, Any]]
    history: list[dict[str, Any]]
    peers: list[dict[str, Any]]
    files: list[dict[str, Any]]
    files_n: int
    sets: list[dict[str, Any]]
    funnels: list[tuple[str, Figure_]] = field(default_factory=list)


Figure_ = Any


def find_entities(connection: duckdb.DuckDBPyConnection, beginning: str, member: str | None) -> list[Entity]:
    """Return the persons and firms whose pseudonym begins so; `signals` is a relation of the connection."""
    connection.register("combined", combine_entities(connection))
    where = "starts_with(entity_id, ?)" + (" and member_iso2 = ?" if member else "")
    rows = connection.execute(
        f"select * from combined where {where} order by member_iso2, entity_kind, entity_id",
        [beginning, member] if member else [beginning],
    ).to_arrow_table()
    return [Entity(row["member_iso2"], row["entity_kind"], row["entity_id"], row) for row in rows.to_pylist()]


def build(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    entity: Entity,
    *,
    purpose: str,
    made_by: str,
    made_at: datetime,
    keep_until: date,
    case_reference: str | None = None,
) -> Dossier:
    """Gather a dossier. `find_entities` has made the views that it reads."""
    own = "member_iso2 = ? and entity_kind = ? and entity_id = ?"
    key = [entity.member_iso2, entity.kind, entity.entity_id]
    catalogue = {entry.id: entry for entry in load_catalogue()}
    order = "order by is_flagged desc, q_value nulls last, p_value nulls last, indicator_id, other_id"
    rows = _rows(connection, f"select *, counterpart_id as other_id from mentions where {own} {order}", key)
    tested = [_worded(row, catalogue) for row in rows if row["p_value"] is not None]
    flagged = [row for row in tested if row["is_flagged"]]
    return Dossier(
        entity=entity,
        purpose=purpose,
        made_by=made_by,
        made_at=made_at,
        keep_until=keep_until,
        case_reference=case_reference,
        flagged=flagged,
        others=[row for row in tested if not row["is_flagged"]][:_MOST_ROWS],
        untested=_untested(connection, entity, rows, catalogue),
        history=_history(connection, entity),
        peers=_peers(connection, entity),
        files=_files(connection, settings, entity, flagged),
        files_n=_files_n(connection, settings, entity),
        sets=_sets(connection, entity),
        funnels=_funnels(connection, entity, tested),
    )


def write(dossier: Dossier, path: Path) -> Path:
    """Write the dossier as one HTML page that loads nothing and prints on A4."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": show_figure, "p": show_p, "short": short, "usd": show_usd}
    # Our own drawings: matplotlib escapes the texts inside.
    pictures = [(title, Markup(as_svg(one))) for title, one in dossier.funnels]  # noqa: S704
    timeline = draw_timeline(dossier.history)
    text = environment.get_template(_TEMPLATE).render(
        dossier=dossier,
        figures=dossier.entity.figures,
        band=BAND_WORDS[dossier.entity.figures["severity"]],
        pictures=pictures,
        timeline=Markup(as_svg(timeline)) if timeline is not None else None,  # noqa: S704
        most_files=MOST_FILES,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def show_figure(value: float | None) -> str:
    """Return a number as people read it: three digits that matter, thousands apart.

    >>> show_figure(1234567.0), show_figure(0.012345), show_figure(None)
    ('1,234,567', '0.0123', '-')
    """
    if value is None:
        return "-"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show_p(value: float | None) -> str:
    """Return a probability: never as zero."""
    if value is None:
        return "-"
    return "< 0.000001" if value < 1e-6 else f"{value:.2g}" if value < 0.001 else f"{value:.3f}"


def show_usd(value: float | None) -> str:
    """Return an amount in whole dollars."""
    return "-" if value is None else f"{value:,.0f} USD"


def short(pseudonym: str | None) -> str:
    """Return the beginning of a pseudonym, long enough to tell entities apart on a page."""
    if pseudonym is None:
        return "-"
    return pseudonym if len(pseudonym) <= 16 else f"{pseudonym[:10]}…"


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.execute(sql, parameters).to_arrow_table().to_pylist()
    return found


def _worded(row: dict[str, Any], catalogue: dict[str, Entry]) -> dict[str, Any]:
    entry = catalogue.get(row["indicator_id"])
    other = row["counterpart_id"] if row["unit_id"] == row["entity_id"] else row["unit_id"]
    return row | {
        "title": entry.title if entry else row["indicator_id"],
        "question": entry.question if entry else "",
        "limits": entry.limits if entry else (),
        "support_unit": entry.support_unit if entry else "",
        "tested_months": int(entry.options.get("tested_months", 0)) if entry else 0,
        "other": other,
    }


def _untested(
    connection: duckdb.DuckDBPyConnection,
    entity: Entity,
    rows: list[dict[str, Any]],
    catalogue: dict[str, Entry],
) -> list[dict[str, Any]]:
    """Return what says nothing about the entity, once per indicator, with the reason."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["status"] == BELOW_SUPPORT:
            known = found.setdefault(row["indicator_id"], _worded(row, catalogue) | {"rows": 0})
            known["rows"] += 1
    lacking = _rows(
        connection,
        "select distinct on (indicator_id) * from signals where member_iso2 = ? and status = ?"
        " order by indicator_id",
        [entity.member_iso2, NOT_COMPUTABLE],
    )
    for row in lacking:
        found[row["indicator_id"]] = _worded(row | {"entity_id": None}, catalogue) | {"rows": 0}
    tested = {row["indicator_id"] for row in rows if row["p_value"] is not None}
    return [row for indicator, row in sorted(found.items()) if indicator not in tested]


def _history(connection: duckdb.DuckDBPyConnection, entity: Entity) -> list[dict[str, Any]]:
    """Return the strongest row of each indicator and period."""
    return _rows(
        connection,
        "select indicator_id, period_start, period_end, min(p_value) as p_value, min(q_value) as q_value,"
        " bool_or(is_flagged) as is_flagged from signals"
        " where member_iso2 = ? and (unit_id = ? or counterpart_id = ?) and p_value is not null"
        " group by all order by indicator_id, period_end",
        [entity.member_iso2, entity.entity_id, entity.entity_id],
    )


def _peers(connection: duckdb.DuckDBPyConnection, entity: Entity) -> list[dict[str, Any]]:
    """Return where the entity lies among others of its kind, by indicator: by its strongest effect."""
    return _rows(
        connection,
        """
        with strongest as (
            select indicator_id, entity_id, arg_max(effect_size, -p_value) as effect,
                any_value(effect_unit) as unit,
                min(p_value) as p_value
            from mentions
            where member_iso2 = $1 and entity_kind = $2 and p_value is not null
            group by all
        )
        select indicator_id, any_value(unit) as unit, count(*) as entities_n, median(effect) as median_effect,
            quantile_cont(effect, 0.9) as high_effect,
            any_value(effect) filter (where entity_id = $3) as own_effect,
            1 + count(*) filter (
                where p_value < (select min(s.p_value) from strongest as s
                    where s.indicator_id = strongest.indicator_id and s.entity_id = $3)
            ) as place
        from strongest
        group by indicator_id
        having count(*) filter (where entity_id = $3) > 0
        order by indicator_id
        """,
        [entity.member_iso2, entity.kind, entity.entity_id],
    )


def _sets(connection: duckdb.DuckDBPyConnection, entity: Entity) -> list[dict[str, Any]]:
    return _rows(
        connection,
        "select * from latest where member_iso2 = ? and starts_with(unit_kind, 'set: ')"
        " and list_contains(string_split(counterpart_id, ' '), ?) and is_flagged order by q_value",
        [entity.member_iso2, entity.entity_id],
    )


def _funnels(
    connection: duckdb.DuckDBPyConnection, entity: Entity, tested: list[dict[str, Any]]
) -> list[tuple[str, Figure_]]:
    """Draw the indicators that flag the entity; where none does, the one that comes nearest."""
    shown: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in tested:
        if row["is_flagged"] or not shown:
            shown.setdefault((row["indicator_id"], row["unit_kind"], row["observed_unit"]), row)
    pictures = []
    for (indicator, kind, counted), row in list(shown.items())[:_MOST_FUNNELS]:
        rows: pa.Table = connection.execute(
            "select * from latest where member_iso2 = ? and indicator_id = ? and unit_kind = ?"
            " and observed_unit = ?",
            [entity.member_iso2, indicator, kind, counted],
        ).to_arrow_table()
        found = funnel.funnel_of(rows, entity.entity_id)
        if found is not None:
            title = f"{indicator}: {row['title']}"
            period = f"{kind}, {row['period_start']} to {row['period_end']}; {found.x.size:,} tested"
            pictures.append((title, funnel.draw(found, title, period)))
    return pictures


def _own_files(settings: Settings, entity: Entity) -> str | None:
    path = mart_path(settings.paths, "trade", "declaration_items")
    named = _names(settings, entity)
    if not named or not is_built(path):
        return None
    return (
        f"from read_parquet({quote_literal(path)})"
        f" where member_iso2 = {quote_literal(entity.member_iso2)} and ({named})"
    )


def _names(settings: Settings, entity: Entity) -> str:
    """Return the condition on declarations that they are the entity's; empty where none can be told."""
    own = quote_literal(entity.entity_id)
    if entity.kind != "supervisor":
        return " or ".join(f"{quote_identifier(name)} = {own}" for name in _COLUMNS.get(entity.kind, ()))
    mart, draw = _MOVED_BY_SUPERVISORS
    path = mart_path(settings.paths, "integrity", mart)
    if not is_built(path):
        return ""
    return (
        f"declaration_id in (select declaration_id from read_parquet({quote_literal(path)})"
        f" where member_iso2 = {quote_literal(entity.member_iso2)} and officer_id = {own}"
        f" and draw = {quote_literal(draw)})"
    )


def _files_n(connection: duckdb.DuckDBPyConnection, settings: Settings, entity: Entity) -> int:
    own = _own_files(settings, entity)
    found = connection.execute(f"select count(distinct declaration_id) {own}").fetchone() if own else None
    return int(found[0]) if found else 0


def _files(
    connection: duckdb.DuckDBPyConnection, settings: Settings, entity: Entity, flagged: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the newest declarations behind the flags: those with the counterparts, within the periods."""
    own = _own_files(settings, entity)
    if own is None:
        return []
    others = sorted({row["other"] for row in flagged if row["other"]})
    start = min((row["period_start"] for row in flagged if row["period_start"]), default=None)
    condition = f" and registered_date >= date '{start}'" if start else ""
    if others:
        listed = ", ".join(quote_literal(one) for one in others)
        condition += f" and ({' or '.join(f'{name} in ({listed})' for name in _COUNTERPARTS)})"
    return _rows(
        connection,
        f"""
        select declaration_id, min(registered_date) as registered_date, any_value(office_code) as office_code,
            any_value(declarant_id) as declarant_id, any_value(inspector_initial_id) as inspector_initial_id,
            any_value(inspector_final_id) as inspector_final_id,
            count(*) as items_n, sum(declared_value_usd) as declared_value_usd,
            any_value(lane_initial_code) as lane_initial_code, any_value(lane_final_code) as lane_final_code,
            string_agg(distinct inspection_result_code, ' ' order by inspection_result_code) as results,
            sum(recovered_tax_usd) as recovered_tax_usd,
            date_diff('minute', min(assigned_at), max(released_at)) / 60 as hours_to_release
        {own}{condition}
        group by declaration_id
        order by min(registered_date) desc, declaration_id
        limit {MOST_FILES}
        """,
        [],
    )


def no_signal_words(dossier: Dossier) -> str:
    """Return the sentence for an entity that nothing flags."""
    tested = np.size([row["indicator_id"] for row in dossier.others])
    return f"{tested} tests, none of them to be checked."
