-- Monthly flows by subheading as last sent, totals of procedure, mode and second partner only: rows that are
-- parts of others would be counted twice. What differs in the source's own detail alone adds up.
with latest as (
    select flows.*
    from (
        select
            landed.*,
            extracts.extract_sequence
        from {{ ref('stg_landing__aggregate_flows') }} as landed
        inner join {{ ref('stg_landing__extracts') }} as extracts
            on
                landed.member_iso2 = extracts.member_iso2
                and landed.extract_id = extracts.extract_id
                and extracts.dataset_name = 'aggregate_flows'
                and extracts.is_accepted
    ) as flows
    where
        flows.frequency_code = 'M'
        and flows.second_partner_code = '0'
        and flows.customs_procedure_code = 'C00'
        and flows.transport_mode_code = '0'
        and length(flows.hs_code) = 6
    qualify row_number() over (
        partition by
            flows.member_iso2, flows.reporter_code, flows.period_from_date, flows.flow_code,
            flows.partner_code, flows.classification_code, flows.hs_code, flows.detail_code
        order by {{ latest_sending_first() }}
    ) = 1
)

select
    member_iso2,
    reporter_code,
    period_from_date as month,
    flow_code,
    partner_code,
    classification_code,
    hs_code as hs6,
    cast(sum(cif_value_usd) as double) as cif_value_usd,
    cast(sum(fob_value_usd) as double) as fob_value_usd,
    cast(sum(primary_value_usd) as double) as primary_value_usd,
    -- Estimated masses repeat the value that they were estimated from.
    cast(sum(net_kg) filter (where not coalesce(is_net_kg_estimated, false)) as double) as net_kg
from latest
group by all
