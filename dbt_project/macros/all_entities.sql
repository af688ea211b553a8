{#- Every entity that state is kept for: name to key columns. -#}
{% macro all_entities() -%}
    {%- do return(dict(var('entities'), **var('counted_entities'))) -%}
{%- endmacro %}
