-- noqa: disable=LT02
-- What this build makes anew: everything of a member from the first day on which a new, corrected, cancelled
-- or newly labelled item, a new exchange rate or a new tariff rate can be felt.
-- depends_on: {{ ref('int_declaration_items__changes') }}, {{ ref('int_declaration_items__touched') }}
-- depends_on: {{ ref('int_inputs') }}
-- depends_on: {{ ref('int_declarations__changes') }}, {{ ref('int_declarations__current') }}
{% if is_partial_build() %}
with changes as (
    select
        now.member_iso2,
        -- Its own row, and every later item that counts it.
        case
            when now.declared_fingerprint is distinct from earlier.declared_fingerprint
                then least(now.registered_date, earlier.registered_date)
        end as declared_from_date,
        -- A label and a cancellation are seen from the day after the one they became visible on.
        case
            when
                (now.is_irregular, now.label_visible_after_date)
                is distinct from (earlier.is_irregular, earlier.label_visible_after_date)
                then least(now.label_visible_after_date, earlier.label_visible_after_date) + 1
        end as label_from_date,
        case
            when now.cancelled_visible_after_date is distinct from earlier.cancelled_visible_after_date
                then least(now.cancelled_visible_after_date, earlier.cancelled_visible_after_date) + 1
        end as cancelled_from_date
    from {{ ref('int_declaration_items__touched') }} as now
    inner join {{ ref('int_declaration_items__changes') }} as earlier on now.item_index = earlier.item_index
    union all
    select
        coalesce(now.member_iso2, earlier.member_iso2) as member_iso2,
        coalesce(now.felt_from_date, earlier.felt_from_date) as declared_from_date,
        null as label_from_date,
        null as cancelled_from_date
    from {{ ref('int_inputs') }} as now
    full outer join {{ standing('int_inputs__before') }} as earlier
        on
            now.member_iso2 = earlier.member_iso2
            and now.dataset_name = earlier.dataset_name
            and now.input_key = earlier.input_key
    where
        coalesce(now.dataset_name, earlier.dataset_name) not in ('declaration_items', 'declarations')
        and now.fingerprint is distinct from earlier.fingerprint
    union all
    -- Freight and insurance of a declaration are shared out among all its items.
    select
        items.member_iso2,
        items.registered_date as declared_from_date,
        null as label_from_date,
        null as cancelled_from_date
    from {{ standing('int_declaration_items__valued') }} as items
    inner join {{ ref('int_declarations__changes') }} as earlier
        on items.member_iso2 = earlier.member_iso2 and items.declaration_id = earlier.declaration_id
    inner join {{ ref('int_declarations__current') }} as now
        on items.member_iso2 = now.member_iso2 and items.declaration_id = now.declaration_id
    where {{ charges_fingerprint('now') }} is distinct from earlier.charges_fingerprint
    {%- if var('rebuild_from_date') %}
    union all
    select distinct
        member_iso2,
        cast('{{ var('rebuild_from_date') }}' as date) as declared_from_date,
        null as label_from_date,
        null as cancelled_from_date
    from {{ ref('int_declaration_items__current') }}
    {%- endif %}
)

select
    member_iso2,
    min(least(declared_from_date, label_from_date, cancelled_from_date)) as from_date
from changes
where coalesce(declared_from_date, label_from_date, cancelled_from_date) is not null
group by member_iso2
{% else %}
select
    member_iso2,
    date '1990-01-01' as from_date
from {{ ref('int_declaration_items__current') }}
group by member_iso2
{% endif %}
