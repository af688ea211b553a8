-- Declarations that were red first, with what they can be compared by: of trusted operators or not, of
-- perishable goods or not, and a third by declared taxes, which is what there is to lose.
with overrides as (
    select
        member_iso2,
        declaration_id,
        min_by(supervisor_id, event_at) as supervisor_id
    from {{ ref('int_integrity__events') }}
    where event_code = 'LANE_SET' and from_value = 'RED' and to_value != 'RED'
    group by all
)

select
    declarations.member_iso2,
    declarations.declaration_id,
    cast(date_trunc('month', declarations.registered_date) as date) as month,
    declarations.office_code,
    declarations.importer_id,
    declarations.declarant_id,
    overrides.supervisor_id,
    coalesce(declarations.is_authorised_operator, false) as is_operator,
    concat_ws(
        ' ',
        if(declarations.is_authorised_operator, 'operator', 'other'),
        if(declarations.chapter_code between '01' and '08', 'perishable', 'lasting'),
        cast(
            floor(2.999 * percent_rank() over (
                partition by declarations.member_iso2, month
                order by declarations.declared_tax_usd
            )) as integer
        )
    ) as cell,
    coalesce(declarations.lane_final_code != 'RED', false) as is_softened
from {{ ref('int_integrity__declarations') }} as declarations
left join overrides
    on
        declarations.member_iso2 = overrides.member_iso2
        and declarations.declaration_id = overrides.declaration_id
where declarations.lane_initial_code = 'RED' and declarations.office_code is not null
