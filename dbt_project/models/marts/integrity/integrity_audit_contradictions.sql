-- B5. Files that an inspector cleared as conform and that an audit after clearance then looked at because
-- they were drawn at random: contradicted where the audit found anything. Compared within office and
-- quarter: they are few.
{% set files %}
(
    select
        audits.member_iso2,
        cast(date_trunc('month', audits.audited_at) as date) as month,
        cleared.office_code,
        cleared.inspector_id,
        hash(audits.member_iso2, cleared.office_code, date_trunc('quarter', audits.audited_at)) as stratum_key,
        audits.is_irregular as is_marked
    from (
        select
            member_iso2,
            declaration_id,
            max(event_at) as audited_at,
            bool_or(to_value != 'CONFORM') as is_irregular
        from {{ ref('int_integrity__events') }}
        where event_code = 'AUDITED' and reason_code = 'RANDOM' and to_value is not null
        group by all
    ) as audits
    inner join (
        select
            member_iso2,
            declaration_id,
            any_value(office_code) as office_code,
            max_by(inspector_id, act_at) as inspector_id
        from {{ ref('int_integrity__examinations') }}
        group by member_iso2, declaration_id
        having not bool_or(is_found)
    ) as cleared
        on audits.member_iso2 = cleared.member_iso2 and audits.declaration_id = cleared.declaration_id
)
{% endset %}
{{ counts_within_strata(files) }}
