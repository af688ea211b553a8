{#- Every entity that state is kept for: name to key columns. -#}
{% macro all_entities() -%}
    {%- do return(dict(var('entities'), **var('counted_entities'))) -%}
{%- endmacro %}

{#- Entities that are summed by day, and the others, which are summed item by item. -#}
{% macro day_entities() -%}
    {%- set found = var('day_entities') -%}
    {%- for entity in found if entity not in all_entities() or entity == 'importer_heading' -%}
        {%- do exceptions.raise_compiler_error(
            "var day_entities: '" ~ entity ~ "' is no entity, or one whose rates are summed item by item"
        ) -%}
    {%- endfor -%}
    {%- do return(found) -%}
{%- endmacro %}

{% macro item_entities() -%}
    {%- set found = [] -%}
    {%- for entity in all_entities() if entity not in day_entities() %}{% do found.append(entity) %}{% endfor -%}
    {%- do return(found) -%}
{%- endmacro %}

{#- Whether labels are counted for an entity: for those with a profile, and for the member's own rate. -#}
{% macro is_labelled(entity) -%}
    {%- do return(entity in var('entities') or entity == 'member') -%}
{%- endmacro %}

{#- The counts that a profile gives of an entity. -#}
{% macro profile_columns(entity) -%}
    {%- do return(
        ['items_n']
        + (['labelled_n', 'irregular_n'] if is_labelled(entity) else [])
        + (['recent_items_n', 'recent_labelled_n', 'recent_irregular_n'] if entity in var('decayed_entities') else [])
    ) -%}
{%- endmacro %}
