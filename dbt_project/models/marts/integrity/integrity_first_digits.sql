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
        hs6,
        declared_value,
        declared_value_usd,
        log_value,
        first_digit
    from valued
    where {{ unit }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

large_units as (
    select
        member_iso2,
        unit_kind,
        unit_id
    from all_units
    group by all
    having count(*) >= {{ var('integrity_least_values') }}
),

-- Pseudonyms are long: a hash stands for what is partitioned by.
units as (
    select
        all_units.*,
        count(*) over same_value as same_value_n,
        count(*) over same_usd as same_usd_n
    from all_units
    semi join large_units
        on
            all_units.member_iso2 = large_units.member_iso2
            and all_units.unit_kind = large_units.unit_kind
            and all_units.unit_id = large_units.unit_id
    window
        same_value as (
            partition by
                hash(
                    all_units.member_iso2, all_units.month, all_units.unit_kind, all_units.unit_id,
                    all_units.declared_value
                )
        ),
        same_usd as (
            partition by
                hash(
                    all_units.member_iso2, all_units.month, all_units.unit_kind, all_units.unit_id,
                    round(all_units.declared_value_usd, 2)
                )
        )
),

-- As many subheadings of equal weight would be as unlike each other (inverse Herfindahl index).
assortments as (
    select
        member_iso2,
        month,
        unit_kind,
        unit_id,
        pow(sum(items_n), 2) / sum(pow(items_n, 2)) as effective_subheadings
    from (
        select
            member_iso2,
            month,
            unit_kind,
            unit_id,
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
        units.unit_id,
        units.cluster_id,
        cast(count(*) as integer) as values_n,
        {%- for digit in range(1, 10) %}
        cast(count(*) filter (where units.first_digit = {{ digit }}) as integer) as digit_{{ digit }}_n,
        {%- endfor %}
        cast(count(*) filter (where units.same_value_n > 1 or units.same_usd_n > 1) as integer)
            as repeated_values_n,
        sum(units.log_value) as log_value_sum,
        sum(pow(units.log_value, 2)) as log_value_squares_sum,
        any_value(assortments.effective_subheadings) as effective_subheadings
    from units
    inner join assortments
        on
            units.member_iso2 = assortments.member_iso2
            and units.month = assortments.month
            and units.unit_kind = assortments.unit_kind
            and units.unit_id = assortments.unit_id
    group by all
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
    anti join large_units
        on
            all_units.member_iso2 = large_units.member_iso2
            and all_units.unit_kind = large_units.unit_kind
            and all_units.unit_id = large_units.unit_id
    group by all
)

select * from of_units
union all
select * from of_all_others
