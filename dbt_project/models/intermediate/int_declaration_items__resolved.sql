-- noqa: disable=LT02,LT05
-- Items that more than one landed row tells about, or whose header comes apart. The others are as they
-- landed, and are not written a second time.
-- What was declared comes from the lowest version of an item, what became of it from the latest row:
-- amendments follow an intervention, so a feature that saw an amended value would know the outcome.
-- depends_on: {{ ref('int_declaration_items__changes') }}
{{ config(
    materialized='in_parts',
    parts='once',
    keeps_rows=true,
    pre_hook="{{ delete_touched_items() }}"
) }}

with accepted_items as not materialized (
    {{ accepted_items() }}
),

-- Keys are found first and whole rows read of few extracts afterwards: rows are wide.
{% if is_partial_build() -%}
keys as materialized (
    select
        items.item_index,
        items.extract_id,
        items.is_header_apart
    from accepted_items as items
    where items.item_index in (
        select changes.item_index from {{ ref('int_declaration_items__changes') }} as changes
    )
),

{% endif -%}
candidates as materialized (
    select keys.item_index
    from {{ 'keys' if is_partial_build() else 'accepted_items as keys' }}
    group by keys.item_index
    having count(*) > 1 or bool_or(coalesce(keys.is_header_apart, false))
),

accepted_rows as (
    select
        items.*,
        extracts.extract_sequence
    from accepted_items as items
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            items.member_iso2 = extracts.member_iso2
            and items.extract_id = extracts.extract_id
            and extracts.dataset_name = 'declaration_items'
    where
        items.item_index in (select candidates.item_index from candidates)
        {%- if is_partial_build() %}
        and items.extract_id in (
            select keys.extract_id
            from keys
            where keys.item_index in (select candidates.item_index from candidates)
        )
        {%- endif %}
),

{{ declared_beside_latest(
    ['member_iso2', 'declaration_id', 'item_no'], 'item_version', outcome_columns()
) }},

-- An item whose header comes apart has what it leaves empty from there; without a header it waits, see
-- int_declaration_items__waiting.
resolved as (
    select *
    from current_rows
    where not coalesce(is_header_apart, false)
    union all by name
    select
        items.* replace (
            {%- for column in header_columns() %}
            coalesce(items.{{ column }}, headers.{{ column }}) as {{ column }}{{ "," if not loop.last }}
            {%- endfor %}
        )
    from current_rows as items
    inner join {{ ref('int_declarations__current') }} as headers
        on
            items.member_iso2 = headers.member_iso2
            and items.declaration_id = headers.declaration_id
    where items.is_header_apart
)

select
    * exclude (extract_sequence, is_header_apart),
    {{ visible_after('is_irregular is not null and label_at is not null', 'label_at') }}
        as label_visible_after_date,
    {{ visible_after('cancelled_at is not null', 'cancelled_at') }} as cancelled_visible_after_date
from resolved
