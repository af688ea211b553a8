-- Events as last sent, of extracts that passed their gate.
with accepted as (
    select
        landed.*,
        extracts.extract_sequence,
        hash(
            landed.member_iso2, landed.declaration_id, landed.item_no, landed.event_code, landed.event_at,
            landed.event_no
        ) as event_key
    from {{ ref('stg_landing__declaration_events') }} as landed
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            landed.member_iso2 = extracts.member_iso2
            and landed.extract_id = extracts.extract_id
            and extracts.dataset_name = 'declaration_events'
            and extracts.is_accepted
),

-- Few are sent again: the others need not be sorted.
repeated as (
    select event_key
    from accepted
    group by event_key
    having count(*) > 1
),

last_sent as (
    select events.*
    from accepted as events
    semi join repeated on events.event_key = repeated.event_key
    qualify row_number() over (
        partition by
            events.member_iso2, events.declaration_id, events.item_no, events.event_code, events.event_at,
            events.event_no
        order by {{ latest_sending_first() }}
    ) = 1
)

-- noqa: disable=RF02
select accepted.* exclude (event_key, extract_sequence, extract_id, source_file, source_line, sequence_no)
from accepted
anti join repeated on accepted.event_key = repeated.event_key
union all
select * exclude (event_key, extract_sequence, extract_id, source_file, source_line, sequence_no)
from last_sent
