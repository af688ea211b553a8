-- noqa: disable=LT02
-- What was known of an entity when a day on which it declares began: its ledger summed up to the day before.
-- Only the days that this build makes anew: what the ledger holds of earlier ones goes in as one row.
{% set counts = ['items', 'labelled', 'irregular'] %}
{% for entity in all_entities() %}
    {%- set is_decayed = entity in var('decayed_entities') %}
    {%- set is_dated = entity in var('dated_entities') %}
    {%- set is_taxed = entity == 'importer_heading' %}
    {%- if not loop.first %}

union all

    {% endif -%}
select
    '{{ entity }}' as entity_kind,
    member_iso2,
    entity_key,
    registered_date,
    {%- for count in counts %}
    cast(coalesce(sum({{ count }}_on_day) over before_{{ entity }}, 0) as integer) as {{ count }}_n,
    {%- endfor %}
    {%- for count in counts %}
    {%- if is_decayed %}
    coalesce(sum({{ count }}_weight) over before_{{ entity }}, 0)
    / {{ decay_weight('registered_date') }} as recent_{{ count }}_n,
    {%- else %}
    cast(null as double) as recent_{{ count }}_n,
    {%- endif %}
    {%- endfor %}
    {{ 'min(first_date) over before_' ~ entity if is_dated else 'cast(null as date)' }} as first_seen_date,
    {{ 'max(last_date) over before_' ~ entity if is_dated else 'cast(null as date)' }} as last_seen_date,
    {%- if is_taxed %}
    cast(sum(tax_rate_pct_on_day) over before_{{ entity }} as double)
    / nullif(sum(taxed_on_day) over before_{{ entity }}, 0) as mean_tax_rate_pct
    {%- else %}
    cast(null as double) as mean_tax_rate_pct
    {%- endif %}
from ({{ entity_history(entity) }})
window
    before_{{ entity }} as (
        partition by entity_key
        order by registered_date
        rows between unbounded preceding and 1 preceding
    )
qualify is_rebuilt and items_on_day > 0
{%- endfor %}
