{#- Every entity that state is kept for: name to key columns. -#}
{% macro all_entities() -%}
    {%- do return(dict(var('entities'), **var('counted_entities'))) -%}
{%- endmacro %}

{#- Entities that are summed by day, and the others, which are summed item by item. -#}
{% macro day_entities() -%}
    {%- set found = var('day_entities') -%}
    {%- for entity in found if entity not in all_entities() or entity in var('dated_entities') + ['importer_heading'] -%}
        {%- do exceptions.raise_compiler_error(
            "var day_entities: '" ~ entity ~ "' is no entity, or one whose items are told apart by their days"
        ) -%}
    {%- endfor -%}
    {%- do return(found) -%}
{%- endmacro %}

{% macro item_entities() -%}
    {%- set found = [] -%}
    {%- for entity in all_entities() if entity not in day_entities() %}{% do found.append(entity) %}{% endfor -%}
    {%- do return(found) -%}
{%- endmacro %}
