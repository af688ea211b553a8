{#-
    Key of an entity within its member, as a 64-bit hash: joins on it cost a fraction of joins on the text.
    Among ten million keys of one kind, two share a hash with a probability of three in a million.
-#}
{% macro entity_key(entity, columns) -%}
    {%- set key = 'hash(' ~ (['member_iso2'] + columns) | join(', ') ~ ')' -%}
    {%- if entity in ('member', 'product_line') -%}
        {{ key }}
    {%- else -%}
        case when {{ columns | join(' is not null and ') }} is not null then {{ key }} end
    {%- endif -%}
{%- endmacro %}
