{#- Key of what the tariff is asked about, as a hash: missing values are values. -#}
{% macro tariff_key(rows='') -%}
    {%- set prefix = rows ~ '.' if rows else '' -%}
    hash(
        {%- for column in ['member_iso2', 'hs6', 'hs_national_code', 'origin_iso2', 'preference_code'] -%}
        {{ prefix }}{{ column }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}
