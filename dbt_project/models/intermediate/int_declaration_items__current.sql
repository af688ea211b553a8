-- What was declared comes from the lowest version of an item, what became of it from the latest row:
-- amendments follow an intervention, so a feature that saw an amended value would know the outcome.
-- depends_on: {{ ref('int_declaration_items__changes') }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['member_iso2', 'declaration_id', 'item_no'],
    on_schema_change='fail'
) }}

with accepted_rows as (
    select
        items.*,
        items.hs6 as assessed_hs6,
        items.origin_iso2 as assessed_origin_iso2,
        items.net_kg as assessed_net_kg,
        extracts.extract_sequence
    from {{ ref('stg_landing__declaration_items') }} as items
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            items.member_iso2 = extracts.member_iso2
            and items.extract_id = extracts.extract_id
            and extracts.dataset_name = 'declaration_items'
            and extracts.is_accepted
    {%- if is_incremental() %}
    semi join {{ ref('int_declaration_items__changes') }} as changes
        on
            items.member_iso2 = changes.member_iso2
            and items.declaration_id = changes.declaration_id
            and items.item_no = changes.item_no
    {%- endif %}
),

{{ declared_beside_latest(
    ['member_iso2', 'declaration_id', 'item_no'], 'item_version', outcome_columns()
) }},

-- An item whose header comes apart has what it leaves empty from there; without a header it waits, see
-- int_declaration_items__waiting.
current_items as (
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
    row_number() over ()
    {%- if is_incremental() %}
    + (select max(standing.item_index) from {{ this }} as standing)
    {%- endif %} as item_index,
    * exclude (extract_sequence, is_header_apart),
    -- A label counts for items registered after this day. The shift makes sure that the label was known
    -- when that later day began at the office, however far east of UTC the office lies.
    case
        when is_irregular is not null and label_at is not null
            then greatest(
                cast(label_at + to_hours({{ var('hours_east_of_utc_at_most') }}) as date), registered_date
            )
    end as label_visible_after_date
from current_items
