-- noqa: disable=LT02
-- The ledger that every profile is summed from: whole numbers, one row per entity and day on which anything
-- happened. A build in parts replaces the days from the first one that changed.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_from_rebuilt_days('registered_date') }}"
) }}

with rebuilt as (
    select
        keys.*,
        windows.from_date
    from {{ ref('int_declaration_items__entity_keys') }} as keys
    inner join {{ ref('int_rebuild_windows') }} as windows on keys.member_iso2 = windows.member_iso2
)
{% for entity in all_entities() %}
{%- if not loop.first %}

union all
{% endif %}
select
    '{{ entity }}' as entity_kind,
    member_iso2,
    entity_key,
    registered_date,
    cast(count(*) filter (where is_item) as integer) as items_on_day,
    cast(count(is_irregular) as integer) as labelled_on_day,
    cast(count(*) filter (where is_irregular) as integer) as irregular_on_day,
    {%- if entity == 'importer_heading' %}
    sum(tax_rate_pct) as tax_rate_pct_on_day,
    cast(count(tax_rate_pct) as integer) as taxed_on_day
    {%- else %}
    cast(null as decimal(38, 4)) as tax_rate_pct_on_day,
    cast(null as integer) as taxed_on_day
    {%- endif %}
from (
    select
        member_iso2,
        {{ entity }}_key as entity_key,
        registered_date,
        true as is_item,
        null as is_irregular,
        tax_rate_pct
    from rebuilt
    where registered_date >= from_date
    union all
    select
        member_iso2,
        {{ entity }}_key as entity_key,
        label_visible_after_date as registered_date,
        false as is_item,
        is_irregular,
        null as tax_rate_pct
    from rebuilt
    where label_visible_after_date >= from_date
)
where entity_key is not null
group by all
{%- endfor %}
