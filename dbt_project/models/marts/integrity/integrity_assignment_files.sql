-- A2. What could be known of a file before it was assigned, and to whom it went. Strata in which one
-- inspector had everything tell nothing.
with strata as (
    select stratum_key
    from {{ ref('int_integrity__assignments') }}
    group by stratum_key
    having count(distinct inspector_initial_id) > 1
)

select
    assignments.member_iso2,
    assignments.month,
    assignments.office_code,
    assignments.declaration_id,
    assignments.stratum_key,
    assignments.inspector_initial_id as inspector_id,
    assignments.declarant_id,
    assignments.chapter_code,
    assignments.declared_tax_usd
from {{ ref('int_integrity__assignments') }} as assignments
semi join strata using (stratum_key)
