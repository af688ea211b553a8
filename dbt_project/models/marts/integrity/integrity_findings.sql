-- B1. A file counts as found where anything in it was. Compared within office, queue, lane, risk band of the
-- importer and month: the inspector's own files are a part of the stratum, and the hypergeometric number
-- takes account of it, so nobody's expectation rests on himself.
{% set files %}
(
    select
        member_iso2,
        month,
        office_code,
        inspector_id,
        declaration_id,
        hash(member_iso2, month, office_code, queue_code, lane_final_code, max(risk_band)) as stratum_key,
        bool_or(is_found) as is_marked
    from {{ ref('int_integrity__examinations') }}
    where lane_final_code in ('RED', 'YELLOW')
    group by member_iso2, month, office_code, inspector_id, declaration_id, queue_code, lane_final_code
)
{% endset %}
{{ counts_within_strata(files) }}
