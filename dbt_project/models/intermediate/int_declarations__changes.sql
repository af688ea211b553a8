-- noqa: disable=LT02
-- Of the headers of extracts that the standing features do not know, what stood of the charges that items
-- share.
-- depends_on: {{ ref('int_extracts__unbuilt') }}
with touched as (
    select distinct
        headers.member_iso2,
        headers.declaration_id
    from {{ ref('stg_landing__declarations') }} as headers
    inner join {{ ref('int_extracts__unbuilt') }} as unbuilt
        on
            headers.member_iso2 = unbuilt.member_iso2
            and headers.extract_id = unbuilt.extract_id
            and unbuilt.dataset_name = 'declarations'
)

select
    touched.member_iso2,
    touched.declaration_id,
    {%- if is_partial_build() %}
    {{ charges_fingerprint('standing') }} as charges_fingerprint
from touched
left join {{ standing('int_declarations__current') }} as standing
    on touched.member_iso2 = standing.member_iso2 and touched.declaration_id = standing.declaration_id
    {%- else %}
    cast(null as ubigint) as charges_fingerprint
from touched
    {%- endif %}
