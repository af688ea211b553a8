-- What was declared comes from the lowest version of a header, what became of it from the latest row.
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
),

{{ declared_beside_latest(
    ['member_iso2', 'declaration_id'], 'declaration_version', header_outcome_columns()
) }}

select * exclude (extract_sequence)
from current_rows
