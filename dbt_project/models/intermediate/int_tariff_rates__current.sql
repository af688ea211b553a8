select
    rates.member_iso2,
    rates.hs_code,
    rates.origin_group_code,
    rates.preference_code,
    rates.valid_from_date,
    rates.valid_to_date,
    rates.rate_pct
from {{ ref('stg_landing__tariff_rates') }} as rates
inner join {{ ref('stg_landing__extracts') }} as extracts
    on
        rates.member_iso2 = extracts.member_iso2
        and rates.extract_id = extracts.extract_id
        and extracts.dataset_name = 'tariff_rates'
        and extracts.is_accepted
qualify row_number() over (
    partition by
        rates.member_iso2, rates.hs_code, rates.origin_group_code, rates.preference_code,
        rates.valid_from_date
    order by extracts.extract_sequence desc, rates.source_line desc
) = 1
