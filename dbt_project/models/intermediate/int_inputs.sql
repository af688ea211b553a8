-- Whatever features are made of, in a form that two builds can compare.
select
    member_iso2,
    dataset_name,
    extract_id as input_key,
    hash(extract_sequence) as fingerprint,
    cast(null as date) as felt_from_date
from {{ ref('stg_landing__extracts') }}
where is_accepted and dataset_name in ('declaration_items', 'declarations')
union all
select
    member_iso2,
    'exchange_rates' as dataset_name,
    concat_ws(' ', currency_code, valid_from_date) as input_key,
    hash(units_per_usd) as fingerprint,
    valid_from_date as felt_from_date
from {{ ref('int_exchange_rates__current') }}
union all
select
    member_iso2,
    'tariff_rates' as dataset_name,
    concat_ws(' ', hs_code, origin_group_code, preference_code, valid_from_date) as input_key,
    hash(rate_pct, valid_to_date) as fingerprint,
    valid_from_date as felt_from_date
from {{ ref('int_tariff_rates__current') }}
