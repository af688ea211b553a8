-- Of the files that were assigned in a shift, `inspector_files_n` of `stratum_files_n` went to the inspector
-- and `broker_files_n` are the broker's. Under an even draw the files of both are a hypergeometric number,
-- for each shift. Shifts with the same three numbers are counted together. Shifts in which one inspector had
-- everything tell nothing.
-- Pseudonyms are long and meet in many rows: hashes stand for them until the end.
with files as (
    select
        member_iso2,
        office_code,
        month,
        stratum_key,
        declarant_id,
        inspector_initial_id as inspector_id,
        hash(declarant_id) as broker_key,
        hash(inspector_initial_id) as inspector_key
    from {{ ref('int_integrity__assignments') }}
    where declarant_id is not null
),

strata as (
    select
        stratum_key,
        count(*) as stratum_files_n
    from files
    group by stratum_key
    having count(distinct inspector_key) > 1
),

inspectors as (
    select
        stratum_key,
        inspector_key,
        count(*) as inspector_files_n
    from files
    group by all
),

brokers as (
    select
        member_iso2,
        office_code,
        month,
        stratum_key,
        broker_key,
        count(*) as broker_files_n
    from files
    group by all
),

pairs as (
    select
        stratum_key,
        broker_key,
        inspector_key,
        count(*) as pair_files_n
    from files
    group by all
),

counted as (
    select
        brokers.member_iso2,
        brokers.month,
        brokers.office_code,
        brokers.broker_key,
        inspectors.inspector_key,
        strata.stratum_files_n,
        inspectors.inspector_files_n,
        brokers.broker_files_n,
        count(*) as strata_n,
        sum(coalesce(pairs.pair_files_n, 0)) as observed_files_n
    from brokers
    inner join strata on brokers.stratum_key = strata.stratum_key
    inner join inspectors on brokers.stratum_key = inspectors.stratum_key
    left join pairs
        on
            brokers.stratum_key = pairs.stratum_key
            and brokers.broker_key = pairs.broker_key
            and inspectors.inspector_key = pairs.inspector_key
    group by all
),

broker_names as (
    select distinct
        broker_key,
        declarant_id
    from files
),

inspector_names as (
    select distinct
        inspector_key,
        inspector_id
    from files
)

select
    counted.member_iso2,
    counted.month,
    counted.office_code,
    broker_names.declarant_id,
    inspector_names.inspector_id,
    cast(counted.stratum_files_n as integer) as stratum_files_n,
    cast(counted.inspector_files_n as integer) as inspector_files_n,
    cast(counted.broker_files_n as integer) as broker_files_n,
    cast(counted.strata_n as integer) as strata_n,
    cast(counted.observed_files_n as integer) as observed_files_n,
    counted.strata_n * counted.broker_files_n * counted.inspector_files_n / counted.stratum_files_n
        as expected_files
from counted
inner join broker_names on counted.broker_key = broker_names.broker_key
inner join inspector_names on counted.inspector_key = inspector_names.inspector_key
