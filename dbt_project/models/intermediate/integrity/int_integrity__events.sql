-- Events as last sent, of extracts that passed their gate.
select events.* exclude (extract_sequence, extract_id, source_file, source_line, sequence_no)  -- noqa: RF03
from (
    select
        landed.*,
        extracts.extract_sequence
    from {{ ref('stg_landing__declaration_events') }} as landed
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            landed.member_iso2 = extracts.member_iso2
            and landed.extract_id = extracts.extract_id
            and extracts.dataset_name = 'declaration_events'
            and extracts.is_accepted
) as events
qualify row_number() over (
    partition by
        events.member_iso2, events.declaration_id, events.item_no, events.event_code, events.event_at,
        events.event_no
    order by {{ latest_sending_first() }}
) = 1
