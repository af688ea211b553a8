select
    rates.member_iso2,
    rates.currency_code,
    rates.valid_from_date,
    rates.units_per_usd
from {{ ref('stg_landing__exchange_rates') }} as rates
inner join {{ ref('stg_landing__extracts') }} as extracts
    on
        rates.member_iso2 = extracts.member_iso2
        and rates.extract_id = extracts.extract_id
        and extracts.dataset_name = 'exchange_rates'
        and extracts.is_accepted
qualify row_number() over (
    partition by rates.member_iso2, rates.currency_code, rates.valid_from_date
    order by extracts.extract_sequence desc, rates.source_line desc
) = 1
