select
    rates.member_iso2,
    rates.currency_code,
    rates.valid_from_date,
    rates.units_per_usd
from (
    select
        landed.*,
        extracts.extract_sequence
    from {{ ref('stg_landing__exchange_rates') }} as landed
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            landed.member_iso2 = extracts.member_iso2
            and landed.extract_id = extracts.extract_id
            and extracts.dataset_name = 'exchange_rates'
            and extracts.is_accepted
) as rates
qualify row_number() over (
    partition by rates.member_iso2, rates.currency_code, rates.valid_from_date
    order by {{ latest_sending_first() }}
) = 1
