-- noqa: disable=LT02
-- What was known of an entity when a day on which it declares began: its ledger summed up to the day before.
-- Only the days that this build makes anew: what the ledger holds of earlier ones goes in as one row.
{{ config(materialized='in_parts', parts='once') }}
{% for entity in day_entities() %}
    {%- set is_decayed = entity in var('decayed_entities') %}
    {%- if not loop.first %}

union all

    {% endif -%}
select
    '{{ entity }}' as entity_kind,
    entity_key,
    registered_date,
    {%- for count in ['items', 'labelled', 'irregular'] %}
    cast(coalesce(sum({{ count }}) over before_{{ entity }}, 0) as integer) as {{ count }}_n,
    {%- endfor %}
    {%- for count in ['items', 'labelled', 'irregular'] %}
    {%- if is_decayed %}
    coalesce(sum({{ count }}_weight) over before_{{ entity }}, 0) / {{ decay_weight('registered_date') }}
        as recent_{{ count }}_n{{ ',' if not loop.last }}
    {%- else %}
    cast(null as double) as recent_{{ count }}_n{{ ',' if not loop.last }}
    {%- endif %}
    {%- endfor %}
from ({{ entity_history(entity) }})
window
    before_{{ entity }} as (
        partition by entity_key
        order by registered_date
        rows between unbounded preceding and 1 preceding
    )
qualify is_rebuilt
{%- endfor %}
