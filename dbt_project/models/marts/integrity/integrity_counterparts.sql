-- Whom an importer lodges through, whom a broker lodges for, whose files an inspector is first assigned:
-- counts by week, because files of one week come together.
{% set kinds = {
    'importer': ('importer_id', 'declarant_id'),
    'broker': ('declarant_id', 'importer_id'),
    'inspector': ('inspector_initial_id', 'declarant_id')
} %}

-- Pseudonyms are long and meet in many rows: hashes stand for them in grouping.
with files as (
    {%- for kind, (unit, counterpart) in kinds.items() %}
    select
        member_iso2,
        cast(date_trunc('month', registered_date) as date) as month,
        '{{ kind }}' as unit_kind,
        {{ unit }} as unit_id,
        {{ counterpart }} as counterpart_id,
        hash(member_iso2, '{{ kind }}', {{ unit }}) as unit_key,
        hash({{ counterpart }}) as counterpart_key,
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
    select unit_key
    from files
    group by unit_key
    having count(*) >= {{ var('integrity_least_files') }}
)

select
    any_value(files.member_iso2) as member_iso2,
    files.month,
    any_value(files.unit_kind) as unit_kind,
    any_value(files.unit_id) as unit_id,
    any_value(files.counterpart_id) as counterpart_id,
    files.week_date,
    cast(count(*) as integer) as files_n
from files
semi join large_units on files.unit_key = large_units.unit_key
group by files.unit_key, files.counterpart_key, files.month, files.week_date
