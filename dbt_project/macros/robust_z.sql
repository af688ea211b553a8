{#- Distance from a reference in robust standard deviations, floored so that a constant is not infinitely far. -#}
{% macro robust_z(value, median, spread) -%}
    ({{ value }} - {{ median }}) / greatest(1.4826 * {{ spread }}, {{ var('reference_min_spread') }})
{%- endmacro %}

{#- How many of the columns are null. -#}
{% macro count_missing(columns) -%}
    {%- for column in columns -%}
    cast({{ column }} is null as integer){{ ' + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
