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

-- Pseudonyms are long and meet in many rows: hashes stand for them until the end.
with valued as (
    select
        member_iso2,
        month,
        {%- for kind, (unit, cluster) in kinds.items() %}
        if({{ unit }} is null, null, hash(member_iso2, '{{ kind }}', {{ unit }})) as {{ kind }}_key,
        hash({{ cluster }}) as {{ kind }}_cluster_key,
        {%- endfor %}
        hash(hs6) as hs6_key,
        declared_value,
        round(declared_value_usd, 2) as declared_value_usd,
        log10(declared_value) as log_value,
        -- The quotient of doubles can come out a hair under a digit, or at ten.
        cast(greatest(1, least(9, floor(declared_value / pow(10, floor(log_value))))) as utinyint)
            as first_digit
    from {{ ref('int_integrity__items') }}
    where declared_value > 0
),

-- Not kept: three rows of every item are more to write and read again than to make again.
all_units as not materialized (
    {%- for kind in kinds %}
    select
        member_iso2,
        month,
        '{{ kind }}' as unit_kind,
        {{ kind }}_key as unit_key,
        {{ kind }}_cluster_key as cluster_key,
        hs6_key,
        log_value,
        first_digit,
        hash({{ kind }}_key, month, declared_value) as same_value_key,
        hash({{ kind }}_key, month, declared_value_usd) as same_usd_key
    from valued
    where {{ kind }}_key is not null
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
),

large_units as (
    select unit_key
    from all_units
    group by all
    having count(*) >= {{ var('integrity_least_values') }}
),

-- noqa: disable=RF02
units as (
    select all_units.* exclude (member_iso2, unit_kind)
    from all_units
    semi join large_units on all_units.unit_key = large_units.unit_key
),

{% for key in ('value', 'usd') -%}
repeated_{{ key }} as (
    select same_{{ key }}_key
    from units
    group by all
    having count(*) > 1
),

{% endfor -%}
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
            hs6_key,
            count(*) as items_n
        from units
        group by all
    )
    group by all
),

unit_names as (
    {%- for kind, (unit, cluster) in kinds.items() %}
    select distinct
        member_iso2,
        '{{ kind }}' as unit_kind,
        {{ unit }} as unit_id,
        hash(member_iso2, '{{ kind }}', {{ unit }}) as unit_key
    from {{ ref('int_integrity__items') }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
),

cluster_names as (
    {%- for cluster in kinds.values() | map('last') | unique %}
    select
        {{ cluster }} as cluster_id,
        hash({{ cluster }}) as cluster_key
    from {{ ref('int_integrity__items') }}
    {{- '\n    union' if not loop.last }}
    {%- endfor %}
),

of_units as (
    select
        units.month,
        units.unit_key,
        units.cluster_key,
        {{ digit_sums('units', 'count(coalesce(repeated_value.same_value_key, repeated_usd.same_usd_key))') }}
    from units
    left join repeated_value on units.same_value_key = repeated_value.same_value_key
    left join repeated_usd on units.same_usd_key = repeated_usd.same_usd_key
    group by units.month, units.unit_key, units.cluster_key
)

select
    unit_names.member_iso2,
    of_units.month,
    unit_names.unit_kind,
    unit_names.unit_id,
    cluster_names.cluster_id,
    of_units.* exclude (month, unit_key, cluster_key),
    assortments.effective_subheadings
from of_units
inner join assortments on of_units.unit_key = assortments.unit_key and of_units.month = assortments.month
inner join unit_names on of_units.unit_key = unit_names.unit_key
inner join cluster_names on of_units.cluster_key = cluster_names.cluster_key
union all
select
    all_units.member_iso2,
    all_units.month,
    all_units.unit_kind,
    '' as unit_id,
    '' as cluster_id,
    {{ digit_sums('all_units', 'null') }},
    cast(null as double) as effective_subheadings
from all_units
anti join large_units on all_units.unit_key = large_units.unit_key
group by all
