-- First digits of declared values, with what tells whether Benford's law can be asked of them: orders of
-- magnitude, subheadings, and values that come again to the cent, as those of a price list do.
{% set kinds = {'importer': 'importer_id', 'broker': 'declarant_id', 'inspector': 'inspector_initial_id'} %}

with valued as (
    select
        *,
        cast(floor(log10(declared_value)) as integer) as magnitude,
        cast(floor(declared_value / pow(10, floor(log10(declared_value)))) as integer) as digit
    from {{ ref('int_integrity__items') }}
    where declared_value > 0
),

units as (
    {%- for kind, unit in kinds.items() %}
    select
        member_iso2,
        month,
        '{{ kind }}' as unit_kind,
        {{ unit }} as unit_id,
        magnitude,
        -- The quotient of doubles can come out a hair under a digit, or at ten.
        greatest(1, least(9, digit)) as first_digit,
        count(*) over (partition by member_iso2, month, {{ unit }}, declared_value) as same_value_n,
        count(*) over (partition by member_iso2, month, {{ unit }}, round(declared_value_usd, 2)) as same_usd_n
    from valued
    where {{ unit }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

assortments as (
    {%- for kind, unit in kinds.items() %}
    select
        member_iso2,
        month,
        '{{ kind }}' as unit_kind,
        {{ unit }} as unit_id,
        count(distinct hs6) as subheadings_n
    from valued
    where {{ unit }} is not null
    group by all
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    units.member_iso2,
    units.month,
    units.unit_kind,
    units.unit_id,
    units.magnitude,
    units.first_digit,
    cast(count(*) as integer) as values_n,
    cast(count(*) filter (where units.same_value_n > 1 or units.same_usd_n > 1) as integer) as repeated_values_n,
    cast(any_value(assortments.subheadings_n) as integer) as subheadings_n
from units
inner join assortments
    on
        units.member_iso2 = assortments.member_iso2
        and units.month = assortments.month
        and units.unit_kind = assortments.unit_kind
        and units.unit_id = assortments.unit_id
group by all
