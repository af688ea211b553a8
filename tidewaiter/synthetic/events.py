"""The event log of a chunk: what happened to each declaration, in order of time, before the period's end."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from tidewaiter.synthetic.tables import ChunkTables

_HEADER = "declaration, year, serial, office, office_code, registered_s"
_COLUMNS = (
    f"{_HEADER}, item_no, event_code, event_s, event_no, queue_code, shift_code, inspector,"
    " inspector_initial, supervisor, changed_field, from_value, to_value, reason_code"
)
# One select per kind of event; columns that it does not fill are null.
_EVENTS = f"""
with found as (
    select {_HEADER}, 0 as item_no, 'LANE_SET' as event_code, lane_s as event_s,
        cast(lane_code as varchar) as to_value, cast(source_code as varchar) as reason_code
    from headers
    union all by name
    select {_HEADER}, 0 as item_no, 'LANE_SET' as event_code, override_s as event_s,
        override_supervisor as supervisor, cast(lane_code as varchar) as from_value,
        cast(lane_final_code as varchar) as to_value, cast(override_reason as varchar) as reason_code
    from headers where override_s is not null
    union all by name
    select {_HEADER}, 0 as item_no, 'ASSIGNED' as event_code, assigned_s as event_s,
        queue_code, shift_code, inspector_first as inspector
    from headers where assigned_s is not null
    union all by name
    select {_HEADER}, 0 as item_no, 'REASSIGNED' as event_code, reassigned_s as event_s,
        queue_code, shift_code, inspector_last as inspector, inspector_first as inspector_initial,
        reassigning_supervisor as supervisor, 'ABSENCE' as reason_code
    from headers where reassigned_s is not null
    union all by name
    select {_HEADER}, item_no, 'ACT' as event_code, act_s as event_s, queue_code,
        act_shift_code as shift_code, inspector_last as inspector,
        cast(act_finding_code as varchar) as to_value
    from items where act_s is not null
    union all by name
    select {_HEADER}, item_no, 'AMENDED' as event_code, act_s + 900 as event_s, queue_code,
        inspector_last as inspector, changed.field as changed_field, changed.before as from_value,
        changed.after as to_value
    from (
        select *, unnest(case cast(act_finding_code as varchar)
            when 'VALUE' then [{{'field': 'declared_value', 'before': format('{{:.2f}}', declared_value),
                'after': format('{{:.2f}}', amended_value)}}]
            when 'HS' then [{{'field': 'hs6', 'before': cast(hs6 as varchar),
                'after': cast(amended_hs6 as varchar)}}]
            when 'ORIGIN' then [{{'field': 'origin_iso2', 'before': cast(origin_iso2 as varchar),
                'after': cast(amended_origin_iso2 as varchar)}}]
            when 'QTY' then [{{'field': 'net_kg', 'before': format('{{:.3f}}', net_kg),
                'after': format('{{:.3f}}', amended_net_kg)}}]
        end) as changed
        from items where act_s is not null and is_amended
    )
    union all by name
    select {_HEADER}, 0 as item_no, 'RELEASED' as event_code, released_s as event_s, queue_code,
        inspector_last as inspector
    from headers where released_s is not null
    union all by name
    select {_HEADER}, 0 as item_no, 'CANCELLED' as event_code, cancelled_s as event_s
    from headers where cancelled_s is not null
    union all by name
    select {_HEADER}, item_no, 'AUDITED' as event_code, audited_s as event_s,
        cast(audit_finding_code as varchar) as to_value, cast(audit_reason as varchar) as reason_code
    from items where audited_s is not null
)
select {_COLUMNS.replace("event_no", "1 as event_no")}
from found where event_s < $end_s
order by event_s, declaration, item_no, event_code, supervisor
"""


def event_log(connection: duckdb.DuckDBPyConnection, tables: ChunkTables, end_s: int) -> pa.Table:
    """Return the events of a chunk's declarations.

    Args:
        connection: Of the spelling; the tables are registered there for as long as this takes.
        tables: The chunk.
        end_s: First instant that the log does not know.
    """
    connection.register("headers", tables.headers)
    connection.register("items", tables.items)
    try:
        return connection.execute(_EVENTS, {"end_s": end_s}).to_arrow_table()
    finally:
        connection.unregister("headers")
        connection.unregister("items")
