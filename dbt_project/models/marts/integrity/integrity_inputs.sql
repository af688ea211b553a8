-- noqa: disable=LT02
-- What each member has values of, field by field: an indicator that needs another one is not computable.
{%- set relations = {
    'declaration_items': ref('int_declaration_items__current'),
    'declaration_events': ref('int_integrity__events'),
    'inspector_roster': ref('int_integrity__roster'),
    'tariff_rates': ref('int_tariff_rates__current'),
    'exchange_rates': ref('int_exchange_rates__current'),
    'aggregate_flows': ref('stg_landing__aggregate_flows'),
} %}
{%- set fields = var('integrity_fields') %}

with filled as (
    {%- for dataset, names in fields.items() %}
    unpivot (
        select
            member_iso2,
            {%- for name in names %}
            count({{ name }}) as "{{ dataset }}.{{ name }}"{{ "," if not loop.last }}
            {%- endfor %}
        from {{ relations[dataset] }}
        group by member_iso2
    ) on columns(* exclude (member_iso2)) into name input_name value filled_rows_n
    {%- if not loop.last %}
    union all by name
    {%- endif %}
    {%- endfor %}
),

spans as (
    select
        member_iso2,
        min(registered_date) as first_date,
        max(registered_date) as last_date
    from {{ ref('int_declaration_items__current') }}
    group by member_iso2
)

select
    filled.member_iso2,
    filled.input_name,
    filled.filled_rows_n,
    spans.first_date,
    spans.last_date
from filled
left join spans on filled.member_iso2 = spans.member_iso2
