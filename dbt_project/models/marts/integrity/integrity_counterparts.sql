-- Whom an importer lodges through, whom a broker lodges for, whose files an inspector is first assigned:
-- counts by week, because files of one week come together.
{% set kinds = {
    'importer': ('importer_id', 'declarant_id'),
    'broker': ('declarant_id', 'importer_id'),
    'inspector': ('inspector_initial_id', 'declarant_id')
} %}

with files as (
    {%- for kind, (unit, counterpart) in kinds.items() %}
    select
        member_iso2,
        cast(date_trunc('month', registered_date) as date) as month,
        '{{ kind }}' as unit_kind,
        {{ unit }} as unit_id,
        {{ counterpart }} as counterpart_id,
        cast(date_trunc('week', registered_date) as date) as week_date
    from {{ ref('int_integrity__declarations') }}
    where {{ unit }} is not null and {{ counterpart }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Who never has enough files to be tested needs no row.
large_units as (
    select
        member_iso2,
        unit_kind,
        unit_id
    from files
    group by all
    having count(*) >= {{ var('integrity_least_files') }}
)

select
    files.member_iso2,
    files.month,
    files.unit_kind,
    files.unit_id,
    files.counterpart_id,
    files.week_date,
    cast(count(*) as integer) as files_n
from files
semi join large_units
    on
        files.member_iso2 = large_units.member_iso2
        and files.unit_kind = large_units.unit_kind
        and files.unit_id = large_units.unit_id
group by all
