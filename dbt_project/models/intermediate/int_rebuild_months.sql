-- Months whose references this build makes anew: a month's references rest on what was known when it began.
with last_days as (
    select
        member_iso2,
        max(registered_date) as registered_date
    from {{ ref('int_declaration_items__valued') }}
    group by member_iso2
)

select
    windows.member_iso2,
    date_trunc('month', windows.from_date + interval 1 month - interval 1 day) as from_month,
    date_trunc('month', last_days.registered_date) + interval 1 month as until_month
from {{ ref('int_rebuild_windows') }} as windows
inner join last_days on windows.member_iso2 = last_days.member_iso2
