-- Canonical declaration items of two invented members: one row per item, two items per declaration.
-- Set the variables `items`, `days` and `seed` first. The same variables give the same rows.
create or replace temp macro u(i, k) as hash(i, k, getvariable('seed')) / 18446744073709551616.0;

create or replace temp view seeded_items as
select
    if(u(i // 2, 1) < 0.6, 'XA', 'XB') as member_iso2,
    printf('%s-%08d', member_iso2, i // 2) as declaration_id,
    (i % 2 + 1)::integer as item_no,
    1 as item_version,
    date '2024-01-01' + floor(u(i // 2, 2) * getvariable('days'))::integer as registered_date,
    -- XA lies nine hours east of UTC, so that its day often starts on the day before in UTC.
    registered_date + to_hours(floor(u(i // 2, 3) * 24)::integer)
    - if(member_iso2 = 'XA', interval 9 hours, interval 0 hours) as registered_at,
    floor(u(i // 2, 4) * 6)::integer::varchar as office_code,
    floor(u(i, 5) * 5)::integer::varchar as declaration_type_code,
    floor(u(i, 6) * 4)::integer::varchar as goods_use_code,
    floor(u(i, 7) * 4)::integer::varchar as payment_method_code,
    floor(u(i, 8) * 4)::integer::varchar as transport_mode_code,
    if(u(i, 9) < 0.05, null, md5('i' || floor(pow(u(i, 10), 3) * getvariable('items') / 6))[:16])
        as importer_id,
    md5('d' || floor(pow(u(i, 11), 2) * getvariable('items') / 40))[:16] as declarant_id,
    if(u(i, 12) < 0.1, null, md5('s' || floor(pow(u(i, 13), 3) * getvariable('items') / 6))[:16])
        as seller_id,
    if(u(i, 14) < 0.8, null, md5('c' || floor(u(i, 15) * 12))[:16]) as courier_id,
    -- A tenth of the items repeats one of a few standard consignments, so that lines recur.
    u(i, 23) < 0.1 as is_standard,
    printf(
        '%02d%02d%02d',
        1 + floor(pow(u(i, 16), 2) * 20)::integer,
        1 + floor(u(i, 17) * 4)::integer,
        if(is_standard, 0, floor(u(i, 18) * 3))::integer
    ) as hs6,
    ['CN', 'DE', 'US', 'IT', 'VN', 'JP'][if(is_standard, 1, 1 + floor(pow(u(i, 19), 2) * 6))::integer]
        as origin_iso2,
    if(u(i, 20) < 0.85, origin_iso2, 'NL') as dispatch_iso2,
    ['B', 'G', 'Y'][1 + floor(u(i, 21) * 3)::integer] as origin_marking_code,
    if(u(i, 22) < 0.7, 'A', 'FTA') as preference_code,
    if(is_standard, 100, round(1 + u(i, 24) * 500, 1)) as gross_kg,
    if(u(i, 25) < 0.01, 0, if(is_standard, 90, round(gross_kg * (0.6 + 0.4 * u(i, 26)), 1))) as net_kg,
    if(u(i, 27) < 0.4, null, u(i, 28) < 0.08 + if(hs6 < '05', 0.3, 0)) as is_irregular,
    if(is_irregular, u(i, 29) < 0.1, is_irregular) as is_serious,
    if(member_iso2 = 'XA', 'EUR', 'XBD') as currency_code,
    round(net_kg * hs6[:2]::integer * if(is_standard, 1, exp(u(i, 30) - if(is_irregular, 0.5, 0))), 2)
        as declared_value,
    'CIF' as value_basis_code,
    if(u(i, 34) < 0.3, null, ['4000', '4071', '5100'][1 + floor(pow(u(i, 34), 2) * 3)::integer]) as procedure_code,
    if(u(i, 35) < 0.2, null, hs6 || ['00', '10'][1 + floor(u(i, 36) * 2)::integer]) as hs_national_code,
    if(u(i, 37) < 0.5, null, ['C62', 'DZN'][1 + floor(u(i, 38) * 2)::integer]) as supplementary_unit_code,
    if(supplementary_unit_code is null, null, round(1 + net_kg * exp(u(i, 39)), 0)) as supplementary_qty,
    [0, 5, 8, 13][1 + hs6[3:4]::integer % 4] as tax_rate_pct,
    if(u(i, 31) < 0.1, null, round(declared_value * tax_rate_pct / 100, 2)) as declared_tax,
    if(is_irregular, round(declared_value * 1.2, 2), declared_value) as assessed_value,
    case when is_irregular then round(declared_value * tax_rate_pct / 100, 2) when not is_irregular then 0 end
        as recovered_tax,
    if(is_irregular is null, null, registered_at + to_hours(floor(u(i, 32) * 40 * 24)::integer)) as label_at,
    if(is_irregular is null, null, if(u(i, 33) < 0.1, 'RANDOM', 'TARGETED')) as label_source_code,
    if(label_source_code = 'RANDOM', 0.03, null) as selection_probability,
    printf('%s%s0000', lower(member_iso2), strftime(registered_date, '%Y%m')) as extract_id,
    printf('%s_%s.csv', member_iso2, strftime(registered_date, '%Y%m')) as source_file,
    i + 2 as source_line
from range(getvariable('items')::bigint) as r (i);
