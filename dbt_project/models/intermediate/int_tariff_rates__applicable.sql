-- What the tariff says of the combinations that items declare, from each day on which the answer changes.
-- The preference claimed goes before the general rate, the longer code before the shorter one, the origin
-- before its group and a group before all. Which origins a group holds the tariff does not say: a rate of a
-- group applies where the preference that it belongs to is claimed.
with declared as (
    select distinct
        items.member_iso2,
        items.hs6,
        items.hs_national_code,
        items.origin_iso2,
        items.preference_code
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_rebuild_windows') }} as windows on items.member_iso2 = windows.member_iso2
    where
        items.registered_date >= windows.from_date
        and items.member_iso2 in (
            select rates.member_iso2 from {{ ref('int_tariff_rates__current') }} as rates
        )
),

candidates as (
    select
        declared.*,
        rates.rate_pct,
        rates.valid_from_date,
        coalesce(rates.valid_to_date, date '9999-12-30') as valid_to_date,
        rates.preference_code = 'MFN' as is_general,
        length(rates.hs_code) as code_length,
        case rates.origin_group_code when declared.origin_iso2 then 2 when 'ALL' then 0 else 1 end
            as origin_rank
    from declared
    cross join lateral (select unnest([hs_national_code, hs6, left(hs6, 4)]) as hs_code) as codes
    inner join {{ ref('int_tariff_rates__current') }} as rates
        on declared.member_iso2 = rates.member_iso2 and codes.hs_code = rates.hs_code
    where
        rates.preference_code in (declared.preference_code, 'MFN')
        and (
            rates.origin_group_code in (declared.origin_iso2, 'ALL')
            or (length(rates.origin_group_code) != 2 and rates.preference_code != 'MFN')
        )
),

change_days as (
    select
        * exclude (rate_pct, valid_to_date, is_general, code_length, origin_rank) replace (
            unnest([valid_from_date, valid_to_date + 1]) as valid_from_date
        )
    from candidates
),

valid as (
    select
        change_days.*,
        candidates.rate_pct,
        candidates.is_general,
        candidates.valid_from_date as since_date,
        (candidates.code_length, candidates.origin_rank, candidates.valid_from_date) as precedence
    from (select distinct * from change_days) as change_days
    left join candidates
        on
            change_days.member_iso2 = candidates.member_iso2
            and change_days.hs6 = candidates.hs6
            and change_days.hs_national_code is not distinct from candidates.hs_national_code
            and change_days.origin_iso2 is not distinct from candidates.origin_iso2
            and change_days.preference_code is not distinct from candidates.preference_code
            and change_days.valid_from_date between candidates.valid_from_date and candidates.valid_to_date
)

select
    {{ tariff_key() }} as tariff_key,
    valid_from_date,
    coalesce(
        arg_max(rate_pct, precedence) filter (where not is_general),
        arg_max(rate_pct, precedence) filter (where is_general)
    ) as statutory_rate_pct,
    arg_max(rate_pct, precedence) filter (where is_general) as general_rate_pct,
    coalesce(
        arg_max(since_date, precedence) filter (where not is_general),
        arg_max(since_date, precedence) filter (where is_general)
    ) as since_date
from valid
group by tariff_key, valid_from_date
