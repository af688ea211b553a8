-- Landed rows of one large member, for the speed of integrity: nothing is planted. Set the variables `items`,
-- `days`, `officers` and `brokers` first: the same variables give the same rows. Six offices with two shifts a day,
-- two items to a declaration, three in ten examined.
create or replace temp macro u(i, k) as hash(i, k, 7) / 18446744073709551616.0;
create or replace temp macro zipf(i, k, spread) as floor(pow(spread::double, u(i, k))) - 1;

create or replace temp table roster as
select
    'O' || officer % 6 as office_code,
    date '2024-01-01' + day::integer as duty_date,
    -- Turns by the week, two days off in seven.
    if((officer // 6 + day // 7) % 2 = 0, 'DAY', 'LATE') as shift_code,
    md5('officer' || officer) as inspector_id,
    duty_date + to_hours(if(shift_code = 'DAY', 6, 14)) as shift_from_at,
    shift_from_at + interval 8 hours as shift_to_at
from range(getvariable('officers')::bigint) as o (officer), range(getvariable('days')::bigint + 40) as d (day)
where (officer // 12 + day) % 7 >= 2;

-- In steps, so that no expression is computed more than once.
create or replace temp table drawn as
select
    d,
    'O' || (zipf(d, 1, 60)::integer % 6) as office_code,
    (u(d, 2) * getvariable('days'))::integer as day,
    (21600 + u(d, 3) * 50000)::integer as second,
    if(u(d, 4) < 0.12, null, md5('importer' || zipf(d, 5, 60000)::integer)) as importer_id,
    md5('broker' || zipf(d, 6, getvariable('brokers'))::integer) as declarant_id,
    u(d, 7) as lane_luck,
    u(d, 8) < 0.02 as is_softened,
    u(d, 9) < 0.004 as is_cancelled
from range(getvariable('items')::bigint // 2) as r (d);

create or replace temp table registered as
select
    d,
    office_code,
    importer_id,
    declarant_id,
    date '2024-01-01' + day as registered_date,
    registered_date + to_seconds(second) as registered_at,
    case
        when lane_luck < 0.12 then 'RED' when lane_luck < 0.30 then 'YELLOW' when lane_luck < 0.40 then 'BLUE'
        else 'GREEN'
    end as lane_initial_code,
    if(lane_luck < 0.12 and is_softened, 'YELLOW', lane_initial_code) as lane_final_code,
    if(lane_luck < 0.03, 'RANDOM', if(lane_luck < 0.4, 'CRITERION', null)) as lane_source_code,
    is_cancelled,
    lane_luck < 0.30 and not is_cancelled as is_assigned,
    if(second + 1800 < 14 * 3600, 'DAY', 'LATE') as shift_code
from drawn;

create or replace temp table headers as
select
    registered.* exclude (is_cancelled, is_assigned, shift_code),
    'D' || printf('%010d', d) as declaration_id,
    registered_at + interval 1 minute as lane_at,
    if(is_cancelled, registered_at + interval 20 hours, null) as cancelled_at,
    if(is_assigned, registered_at + interval 30 minutes, null) as assigned_at,
    if(is_assigned, inspectors[1 + floor(u(d, 12) * len(inspectors))::integer], null) as inspector_id,
    registered_at + to_seconds((5400 * exp(4 * u(d, 10)))::bigint) as act_at,
    act_at + to_seconds((3600 * exp(4 * u(d, 11)))::bigint) as released_at
from registered
left join (
    select office_code, duty_date as registered_date, shift_code, list(inspector_id order by inspector_id) as inspectors
    from roster
    group by all
) as shifts using (office_code, registered_date, shift_code);

create or replace temp view declaration_items as
select
    'XA' as member_iso2,
    headers.* exclude (d, inspector_id, act_at),
    line::integer as item_no,
    1 as item_version,
    printf('%02d%02d00', 1 + hash(d, line, 20) % 97, 1 + hash(d, line, 21) % 20) as hs6,
    'CN' as origin_iso2,
    'T' || d as transport_document_ref,
    'GEN' as queue_code,
    inspector_id as inspector_initial_id,
    if(u(d, 13) < 0.97, inspector_id, md5('officer' || floor(u(d, 14) * getvariable('officers'))::integer))
        as inspector_final_id,
    round(exp(4 + 6 * u(d * 2 + line, 22)), 2) as declared_value,
    round(declared_value / 9, 2) as net_kg,
    'USD' as currency_code,
    'CIF' as value_basis_code,
    10 as tax_rate_pct,
    round(declared_value / 10, 2) as declared_tax,
    if(inspector_id is null, null, u(d * 2 + line, 23) < 0.06) as is_irregular,
    if(is_irregular, 'VALUE', if(inspector_id is null, null, 'CONFORM')) as inspection_result_code,
    if(is_irregular, declared_value * 1.4, if(inspector_id is null, null, declared_value)) as assessed_value,
    if(inspector_id is null, null, released_at + interval 9 days) as label_at,
    if(inspector_id is null, null, 'TARGETED') as label_source_code,
    'items' as extract_id,
    'items.csv' as source_file,
    d * 2 + line as source_line
from headers, range(1, 3) as lines (line);

create or replace temp view declaration_events as
select
    'XA' as member_iso2,
    declaration_id,
    0 as item_no,
    'LANE_SET' as event_code,
    lane_at as event_at,
    1 as event_no,
    office_code,
    null as inspector_id,
    null as supervisor_id,
    null as from_value,
    lane_initial_code as to_value,
    null as reason_code,
    d as source_line
from headers
union all
select
    'XA', declaration_id, 0, 'LANE_SET', lane_at + interval 1 minute, 1, office_code, null,
    md5('supervisor' || office_code || hash(d, 30) % 2), 'RED', 'YELLOW', 'OTHER', d
from headers
where lane_final_code != lane_initial_code
union all
select
    'XA', declaration_id, line, 'ACT', act_at, 1, office_code, inspector_id, null, null,
    if(u(d * 2 + line, 23) < 0.06, 'VALUE', 'CONFORM'), null, d
from headers, range(1, 3) as lines (line)
where inspector_id is not null
union all
select
    'XA', declaration_id, 1, 'AUDITED', released_at + interval 60 days, 1, office_code, null, null, null,
    if(u(d, 31) < 0.05, 'VALUE', 'CONFORM'), 'RANDOM', d
from headers
where u(d, 32) < 0.02 and inspector_id is not null;

create or replace temp view inspector_roster as
select
    'XA' as member_iso2,
    *,
    'GEN' as team_code,
    row_number() over () as source_line
from roster;
