-- First digits of declared values by unit and by what its values come in: importers of a broker or inspector,
-- headings of an importer. Values of one cluster are alike in size, so they count for less than independent
-- ones. Beside them what tells whether Benford's law can be asked: spread over orders of magnitude,
-- subheadings, and values that come again to the cent, as those of a price list do. Units that never have
-- values enough to be tested are one row a month, for the digits of everybody.
{% set kinds = {
    'importer': ('importer_id', 'heading_code'),
    'broker': ('declarant_id', 'coalesce(importer_id, declaration_id)'),
    'inspector': ('inspector_initial_id', 'coalesce(importer_id, declaration_id)')
} %}

-- Pseudonyms are long and meet in many rows: rows are compared and grouped by hashes.
with valued as (
    select
        *,
        log10(declared_value) as log_value,
        -- The quotient of doubles can come out a hair under a digit, or at ten.
        greatest(1, least(9, cast(floor(declared_value / pow(10, floor(log10(declared_value)))) as integer)))
            as first_digit
    from {{ ref('int_integrity__items') }}
    where declared_value > 0
),

all_units as (
    {%- for kind, (unit, cluster) in kinds.items() %}
    select
        member_iso2,
        month,
        '{{ kind }}' as unit_kind,
        {{ unit }} as unit_id,
        {{ cluster }} as cluster_id,
        hash(member_iso2, '{{ kind }}', {{ unit }}) as unit_key,
        hash({{ cluster }}) as cluster_key,
        hs6,
        log_value,
        first_digit,
        hash(unit_key, month, declared_value) as same_value_key,
        hash(unit_key, month, round(declared_value_usd, 2)) as same_usd_key
    from valued
    where {{ unit }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

large_units as (
    select unit_key
    from all_units
    group by unit_key
    having count(*) >= {{ var('integrity_least_values') }}
),

units as (
    select all_units.*
    from all_units
    semi join large_units on all_units.unit_key = large_units.unit_key
),

repeated_values as (
    select same_value_key
    from units
    group by same_value_key
    having count(*) > 1
),

repeated_usd as (
    select same_usd_key
    from units
    group by same_usd_key
    having count(*) > 1
),

-- As many subheadings of equal weight would be as unlike each other (inverse Herfindahl index).
assortments as (
    select
        unit_key,
        month,
        pow(sum(items_n), 2) / sum(pow(items_n, 2)) as effective_subheadings
    from (
        select
            unit_key,
            month,
            hs6,
            count(*) as items_n
        from units
        group by all
    )
    group by all
),

of_units as (
    select
        units.member_iso2,
        units.month,
        units.unit_kind,
        units.unit_key,
        any_value(units.unit_id) as unit_id,
        any_value(units.cluster_id) as cluster_id,
        cast(count(*) as integer) as values_n,
        {%- for digit in range(1, 10) %}
        cast(count(*) filter (where units.first_digit = {{ digit }}) as integer) as digit_{{ digit }}_n,
        {%- endfor %}
        cast(
            count(*) filter (
                where repeated_values.same_value_key is not null or repeated_usd.same_usd_key is not null
            ) as integer
        ) as repeated_values_n,
        sum(units.log_value) as log_value_sum,
        sum(pow(units.log_value, 2)) as log_value_squares_sum
    from units
    left join repeated_values on units.same_value_key = repeated_values.same_value_key
    left join repeated_usd on units.same_usd_key = repeated_usd.same_usd_key
    group by units.member_iso2, units.month, units.unit_kind, units.unit_key, units.cluster_key
),

of_all_others as (
    select
        all_units.member_iso2,
        all_units.month,
        all_units.unit_kind,
        '' as unit_id,
        '' as cluster_id,
        cast(count(*) as integer) as values_n,
        {%- for digit in range(1, 10) %}
        cast(count(*) filter (where all_units.first_digit = {{ digit }}) as integer) as digit_{{ digit }}_n,
        {%- endfor %}
        cast(null as integer) as repeated_values_n,
        sum(all_units.log_value) as log_value_sum,
        sum(pow(all_units.log_value, 2)) as log_value_squares_sum,
        cast(null as double) as effective_subheadings
    from all_units
    anti join large_units on all_units.unit_key = large_units.unit_key
    group by all
)

select
    of_units.member_iso2,
    of_units.month,
    of_units.unit_kind,
    of_units.unit_id,
    of_units.cluster_id,
    of_units.values_n,
    {%- for digit in range(1, 10) %}
    of_units.digit_{{ digit }}_n,
    {%- endfor %}
    of_units.repeated_values_n,
    of_units.log_value_sum,
    of_units.log_value_squares_sum,
    assortments.effective_subheadings
from of_units
inner join assortments on of_units.unit_key = assortments.unit_key and of_units.month = assortments.month
union all
select * from of_all_others
