-- Of the files that were assigned in a shift, `inspector_files_n` of `stratum_files_n` went to the inspector
-- and `broker_files_n` are the broker's. Under an even draw the files of both are a hypergeometric number,
-- for each shift. Shifts with the same three numbers are counted together. Shifts in which one inspector had
-- everything tell nothing.
with strata as (
    select
        stratum_key,
        count(*) as stratum_files_n
    from {{ ref('int_integrity__assignments') }}
    where declarant_id is not null
    group by stratum_key
    having count(distinct inspector_initial_id) > 1
),

inspectors as (
    select
        assignments.stratum_key,
        assignments.inspector_initial_id as inspector_id,
        count(*) as inspector_files_n
    from {{ ref('int_integrity__assignments') }} as assignments
    where assignments.declarant_id is not null
    group by all
),

brokers as (
    select
        member_iso2,
        office_code,
        month,
        stratum_key,
        declarant_id,
        count(*) as broker_files_n
    from {{ ref('int_integrity__assignments') }}
    where declarant_id is not null
    group by all
),

pairs as (
    select
        stratum_key,
        declarant_id,
        inspector_initial_id as inspector_id,
        count(*) as pair_files_n
    from {{ ref('int_integrity__assignments') }}
    where declarant_id is not null
    group by all
)

select
    brokers.member_iso2,
    brokers.month,
    brokers.office_code,
    brokers.declarant_id,
    inspectors.inspector_id,
    cast(strata.stratum_files_n as integer) as stratum_files_n,
    cast(inspectors.inspector_files_n as integer) as inspector_files_n,
    cast(brokers.broker_files_n as integer) as broker_files_n,
    cast(count(*) as integer) as strata_n,
    cast(sum(coalesce(pairs.pair_files_n, 0)) as integer) as observed_files_n,
    count(*) * brokers.broker_files_n * inspectors.inspector_files_n / strata.stratum_files_n
        as expected_files
from brokers
inner join strata on brokers.stratum_key = strata.stratum_key
inner join inspectors on brokers.stratum_key = inspectors.stratum_key
left join pairs
    on
        brokers.stratum_key = pairs.stratum_key
        and brokers.declarant_id = pairs.declarant_id
        and inspectors.inspector_id = pairs.inspector_id
group by
    brokers.member_iso2,
    brokers.month,
    brokers.office_code,
    brokers.declarant_id,
    inspectors.inspector_id,
    strata.stratum_files_n,
    inspectors.inspector_files_n,
    brokers.broker_files_n
