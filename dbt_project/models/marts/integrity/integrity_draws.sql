-- Who got which file, within the files among which that was an even draw: inspectors within a shift, and
-- supervisors who moved red declarations to a softer lane within an office and month. A red declaration that
-- nobody moved stays in its stratum without an officer. Trusted operators are moved by rule and left out.
with overrides as (
    select
        member_iso2,
        declaration_id,
        min_by(supervisor_id, event_at) as supervisor_id
    from {{ ref('int_integrity__events') }}
    where event_code = 'LANE_SET' and from_value = 'RED' and to_value != 'RED' and supervisor_id is not null
    group by all
),

reds as (
    select
        declarations.member_iso2,
        cast(date_trunc('month', declarations.registered_date) as date) as month,
        declarations.office_code,
        declarations.declaration_id,
        declarations.importer_id,
        overrides.supervisor_id
    from {{ ref('int_integrity__declarations') }} as declarations
    left join overrides
        on
            declarations.member_iso2 = overrides.member_iso2
            and declarations.declaration_id = overrides.declaration_id
    where
        declarations.lane_initial_code = 'RED'
        and declarations.importer_id is not null
        and not coalesce(declarations.is_authorised_operator, false)
        and declarations.member_iso2 in (select known.member_iso2 from overrides as known)
)

select
    member_iso2,
    month,
    declaration_id,
    'brokers, importers and inspectors' as draw,
    stratum_key,
    office_code,
    declarant_id as broker_id,
    importer_id,
    inspector_initial_id as officer_id
from {{ ref('int_integrity__assignments') }}
where declarant_id is not null or importer_id is not null
union all
select
    member_iso2,
    month,
    declaration_id,
    'importers and supervisors' as draw,
    hash(member_iso2, office_code, month) as stratum_key,
    office_code,
    cast(null as varchar) as broker_id,
    importer_id,
    supervisor_id as officer_id
from reds
