-- Sums of ln unit values by office and by inspector, for goods of one subheading under one rate: what others
-- declare for them is the yardstick.
{% set kinds = {'office': 'office_code', 'inspector': 'inspector_initial_id'} %}

{%- for kind, unit in kinds.items() %}
select
    member_iso2,
    month,
    '{{ kind }}' as unit_kind,
    {{ unit }} as unit_id,
    heading_code,
    hs6,
    preference_code,
    tax_rate_pct,
    cast(count(*) as integer) as items_n,
    sum(ln_unit_value_usd_per_kg) as ln_unit_value_sum,
    sum(cif_value_usd) as cif_value_usd
from {{ ref('int_integrity__items') }}
where {{ unit }} is not null and ln_unit_value_usd_per_kg is not null and tax_rate_pct is not null
group by all
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
