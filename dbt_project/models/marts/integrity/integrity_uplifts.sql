-- B2. An item's value is raised where the assessed one exceeds the declared by more than rounding. Compared
-- with peers at the office in the same lane, chapter of the Harmonized System and month in which the result
-- was known.
{% set files %}
(
    select
        items.member_iso2,
        cast(date_trunc('month', items.label_at) as date) as month,
        items.office_code,
        items.declarant_id,
        coalesce(items.inspector_final_id, items.inspector_initial_id) as inspector_id,
        hash(
            items.member_iso2, date_trunc('month', items.label_at), items.office_code, items.lane_final_code,
            left(items.hs6, 2)
        ) as stratum_key,
        items.assessed_value > items.declared_value * 1.005 as is_marked
    from {{ ref('int_declaration_items__current') }} as items
    where
        coalesce(items.inspector_final_id, items.inspector_initial_id) is not null
        and items.label_at is not null
        and coalesce(items.label_source_code, '') != 'PCA'
        and items.declared_value > 0
        and items.assessed_value > 0
)
{% endset %}
{{ counts_within_strata(files, with_pairs=true) }}
