-- noqa: disable=LT02
-- What was declared comes from the lowest version of a header, what became of it from the latest row. A build
-- in parts looks again at the headers of new extracts only.
-- depends_on: {{ ref('int_declarations__changes') }}
{{ config(
    materialized='in_parts',
    parts='once',
    keeps_rows=true,
    pre_hook="{{ delete_touched_declarations() }}"
) }}

with accepted_rows as (
    select
        headers.*,
        extracts.extract_sequence
    from {{ ref('stg_landing__declarations') }} as headers
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            headers.member_iso2 = extracts.member_iso2
            and headers.extract_id = extracts.extract_id
            and extracts.dataset_name = 'declarations'
            and extracts.is_accepted
    {%- if is_partial_build() %}
    where (headers.member_iso2, headers.declaration_id) in (
        select (changes.member_iso2, changes.declaration_id)
        from {{ ref('int_declarations__changes') }} as changes
    )
    {%- endif %}
),

{{ declared_beside_latest(
    ['member_iso2', 'declaration_id'], 'declaration_version', header_outcome_columns()
) }}

select * exclude (extract_sequence)
from current_rows
