-- Landed declaration items with the heavy tails of real trade: a few importers, goods and brokers make up most
-- of the items, most of them hardly any. Set the variables `items`, `first_day` and `days` first; the same
-- variables give the same rows, and `first_item` numbers on.
create or replace temp macro u(i, k) as hash(i, k, 42) / 18446744073709551616.0;
-- Ranks from 0 with a tail like Zipf's: `spread` ranks in all.
create or replace temp macro zipf(i, k, spread) as floor(pow(spread::double, u(i, k))) - 1;

create or replace temp view heavy_tailed_items as
select
    if(hash(i // 3, 0) % 10 < 7, 'XA', 'XB') as member_iso2,
    printf('%s%010d', member_iso2, getvariable('first_item') + i // 3) as declaration_id,
    (i % 3 + 1)::integer as item_no,
    1 as item_version,
    getvariable('first_day') + floor(u(i // 3, 1) * getvariable('days'))::integer as registered_date,
    registered_date + to_seconds(floor(u(i // 3, 2) * 86400)::bigint) as registered_at,
    'OF' || zipf(i // 3, 3, 40)::integer as office_code,
    (zipf(i // 3, 4, 6))::integer::varchar as declaration_type_code,
    ['4000', '4000', '4000', '4071', '5100'][1 + floor(u(i // 3, 5) * 5)::integer] as procedure_code,
    zipf(i, 6, 14)::integer::varchar as goods_use_code,
    zipf(i // 3, 7, 10)::integer::varchar as payment_method_code,
    (1 + zipf(i // 3, 8, 6))::integer::varchar as transport_mode_code,
    if(u(i // 3, 9) < 0.12, null, md5('importer' || zipf(i // 3, 10, 300000)::integer)) as importer_id,
    -- An importer keeps to his broker five times in six.
    md5('declarant' || if(u(i // 3, 11) < 0.85, hash(importer_id) % 3000, zipf(i // 3, 12, 3000)::integer))
        as declarant_id,
    if(u(i // 3, 13) < 0.1, null, md5('seller' || zipf(i // 3, 14, 200000)::integer)) as seller_id,
    if(u(i // 3, 15) < 0.8, null, md5('courier' || zipf(i // 3, 16, 80)::integer)) as courier_id,
    zipf(i, 17, 5000)::integer as goods_rank,
    printf('%02d%02d%02d', 1 + goods_rank % 97, 1 + goods_rank // 97 % 20, goods_rank // 1940) as hs6,
    hs6 || printf('%04d', (hash(i, 18) % 3)::integer) as hs_national_code,
    chr(65 + (zipf(i, 19, 60)::integer) % 26) || chr(65 + (zipf(i, 19, 60)::integer) // 26) as origin_iso2,
    if(u(i, 20) < 0.85, origin_iso2, ['NL', 'SG', 'HK', 'AE'][1 + floor(u(i, 20) * 4)::integer])
        as dispatch_iso2,
    ['B', 'E', 'G', 'Y'][1 + floor(u(i, 21) * 4)::integer] as origin_marking_code,
    if(u(i, 22) < 0.7, 'MFN', 'FTA' || zipf(i, 23, 20)::integer) as preference_code,
    round(exp(10 * u(i, 24) - 2), 1) as gross_kg,
    if(u(i, 25) < 0.01, 0, round(gross_kg * (0.8 + 0.2 * u(i, 26)), 2)) as net_kg,
    if(u(i, 27) < 0.5, null, 'C62') as supplementary_unit_code,
    if(supplementary_unit_code is null, null, round(1 + net_kg * exp(u(i, 28)), 0)) as supplementary_qty,
    if(member_iso2 = 'XA', 'EUR', 'USD') as currency_code,
    round(net_kg * exp(2 * sin(goods_rank) + 0.7 * (u(i, 29) + u(i, 30) + u(i, 31) - 1.5)), 2) as declared_value,
    'CIF' as value_basis_code,
    [0, 5, 10, 20, 35][1 + goods_rank % 5] as tax_rate_pct,
    round(declared_value * tax_rate_pct / 100, 2) as declared_tax,
    -- Two of five items are inspected, and known after nine days in the middle.
    if(u(i, 32) < 0.4, u(i, 33) < 0.05 + 0.1 * (goods_rank % 5 = 4)::integer, null) as is_irregular,
    if(is_irregular, u(i, 34) < 0.1, is_irregular) as is_serious,
    case when is_irregular is not null then registered_at + to_seconds((86400 * exp(4.4 * u(i, 35)))::bigint) end
        as label_at,
    if(is_irregular is null, null, if(u(i, 36) < 0.1, 'RANDOM', 'TARGETED')) as label_source_code,
    if(is_irregular, round(declared_tax * u(i, 37), 2), if(is_irregular is null, null, 0)) as recovered_tax,
    getvariable('extract') as extract_id,
    getvariable('extract') || '.csv' as source_file,
    i + 2 as source_line
from range(getvariable('items')::bigint) as r (i);
