{#-
    Counts for an exact test: within a stratum every file was as likely to have the outcome, whoever had it, so
    the unit's files with the outcome are a hypergeometric number: `drawn_n` files drawn out of `population_n`,
    of which `marked_n` have it.

    `files` is a relation with member_iso2, month, office_code, stratum_key, inspector_id, is_marked and, for
    pairs, declarant_id. Inspectors are compared with colleagues in the stratum. Of a pair the stratum is the
    inspector's own: whether the broker fares otherwise than the inspector's other files. What has nobody to be
    compared with is left out.
-#}
{% macro counts_within_strata(files, with_pairs=false) -%}
{%- set kinds = [('inspector', 'stratum_key', 'inspector_id', 'cast(null as varchar)')] -%}
{%- if with_pairs -%}
{%- do kinds.append(('broker-inspector pair', 'hash(stratum_key, inspector_id)', 'declarant_id', 'inspector_id')) -%}
{%- endif -%}
-- Pseudonyms are long and meet in many rows: a hash stands for them in grouping. A pair's stratum is one
-- inspector's, so that the counterpart follows from it.
with drawn as (
    {%- for kind, stratum_key, unit_id, counterpart_id in kinds %}
    select
        member_iso2,
        month,
        office_code,
        '{{ kind }}' as unit_kind,
        any_value({{ unit_id }}) as unit_id,
        any_value({{ counterpart_id }}) as counterpart_id,
        {{ stratum_key }} as stratum_key,
        count(*) as drawn_n,
        count(*) filter (where is_marked) as observed_n
    from {{ files }}
    where inspector_id is not null and {{ unit_id }} is not null
    group by member_iso2, month, office_code, {{ stratum_key }}, hash({{ unit_id }})
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

strata as (
    select
        unit_kind,
        stratum_key,
        sum(drawn_n) as population_n,
        sum(observed_n) as marked_n
    from drawn
    group by unit_kind, stratum_key
)

select
    drawn.member_iso2,
    drawn.month,
    drawn.office_code,
    drawn.unit_kind,
    drawn.unit_id,
    drawn.counterpart_id,
    drawn.stratum_key,
    cast(strata.population_n as integer) as population_n,
    cast(strata.marked_n as integer) as marked_n,
    cast(drawn.drawn_n as integer) as drawn_n,
    cast(drawn.observed_n as integer) as observed_n,
    drawn.drawn_n * strata.marked_n / strata.population_n as expected_n
from drawn
inner join strata on drawn.unit_kind = strata.unit_kind and drawn.stratum_key = strata.stratum_key
where drawn.drawn_n < strata.population_n
{%- endmacro %}
