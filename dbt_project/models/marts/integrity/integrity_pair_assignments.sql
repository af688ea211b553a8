-- Of the files that were assigned in a shift, `inspector_files_n` of `stratum_files_n` went to the inspector
-- and `broker_files_n` are the broker's. Under an even draw the files of both are a hypergeometric number,
-- for each shift. Shifts with the same three numbers are counted together. Shifts in which one inspector had
-- everything tell nothing.
{% set numbers -%}
(strata.stratum_files_n << 42) + (inspectors.inspector_files_n << 21) + brokers.broker_files_n
{%- endset %}

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

-- Once for every shift that both are in, and once more with what they had of each other in it. The three
-- numbers of a shift are one key.
met as (
    select
        brokers.member_iso2,
        brokers.month,
        brokers.office_code,
        brokers.broker_key,
        inspectors.inspector_key,
        {{ numbers }} as numbers_key,
        1 as strata_n,
        0 as observed_files_n
    from brokers
    inner join strata on brokers.stratum_key = strata.stratum_key
    inner join inspectors on brokers.stratum_key = inspectors.stratum_key
    union all
    select
        brokers.member_iso2,
        brokers.month,
        brokers.office_code,
        brokers.broker_key,
        inspectors.inspector_key,
        {{ numbers }} as numbers_key,
        0 as strata_n,
        pairs.pair_files_n as observed_files_n
    from pairs
    inner join brokers on pairs.stratum_key = brokers.stratum_key and pairs.broker_key = brokers.broker_key
    inner join inspectors
        on pairs.stratum_key = inspectors.stratum_key and pairs.inspector_key = inspectors.inspector_key
    inner join strata on pairs.stratum_key = strata.stratum_key
),

counted as (
    select
        member_iso2,
        month,
        office_code,
        broker_key,
        inspector_key,
        numbers_key >> 42 as stratum_files_n,
        (numbers_key >> 21) & 2097151 as inspector_files_n,
        numbers_key & 2097151 as broker_files_n,
        sum(strata_n) as strata_n,
        sum(observed_files_n) as observed_files_n
    from met
    group by member_iso2, month, office_code, broker_key, inspector_key, numbers_key
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
