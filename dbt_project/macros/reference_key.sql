{#- Key of a reference distribution within its measure and level, as a hash; null where a column is missing. -#}
{% macro reference_key(columns, rows='') -%}
    {%- set prefix = rows ~ '.' if rows else '' -%}
    {%- set named = [] -%}
    {%- for column in columns -%}
        {%- do named.append(column.replace('hs6', prefix ~ 'hs6') if column.startswith('left(') else prefix ~ column) -%}
    {%- endfor -%}
    {%- set key = 'hash(' ~ ([prefix ~ 'member_iso2'] + named) | join(', ') ~ ')' -%}
    {%- if named -%}
        case when {{ named | join(' is not null and ') }} is not null then {{ key }} end
    {%- else -%}
        {{ key }}
    {%- endif -%}
{%- endmacro %}
