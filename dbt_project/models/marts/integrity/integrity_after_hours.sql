-- B4. An act is off shift where the roster has its inspector on no shift at that instant. Compared within the
-- office, the shift in which the file was assigned and the month.
{% set files %}
(
    select
        acts.member_iso2,
        acts.month,
        acts.office_code,
        acts.inspector_id,
        hash(acts.member_iso2, acts.month, acts.office_code, acts.shift_code) as stratum_key,
        not coalesce(acts.act_at < roster.shift_to_at, false) as is_marked
    from (
        select distinct
            examinations.member_iso2,
            examinations.declaration_id,
            examinations.month,
            examinations.office_code,
            examinations.inspector_id,
            examinations.act_at,
            assignments.shift_code
        from {{ ref('int_integrity__examinations') }} as examinations
        inner join {{ ref('int_integrity__assignments') }} as assignments
            on
                examinations.member_iso2 = assignments.member_iso2
                and examinations.declaration_id = assignments.declaration_id
    ) as acts
    asof left join (
        select
            member_iso2,
            inspector_id,
            shift_from_at,
            shift_to_at
        from {{ ref('int_integrity__roster') }}
        where shift_from_at is not null
    ) as roster
        on
            acts.member_iso2 = roster.member_iso2
            and acts.inspector_id = roster.inspector_id
            and acts.act_at >= roster.shift_from_at
)
{% endset %}
{{ counts_within_strata(files) }}
