{#-
    Condition that a row belongs to the member and days that are being built: the variables that the
    materializations `parquet_by_month` and `in_parts` set for each of their parts. Without them every row does.
    `days_before` takes in that many earlier days, for windows that look back into them.
-#}
{% macro in_period(rows, date_column='registered_date', days_before=0) -%}
    {{ in_days_of_period(rows, date_column, days_before) }}
    and {{ rows }}.member_iso2 = coalesce(getvariable('period_member'), {{ rows }}.member_iso2)
{%- endmacro %}

{#- The same for rows that do not name their member. -#}
{% macro in_days_of_period(rows, date_column='registered_date', days_before=0) -%}
    {{ rows }}.{{ date_column }} >= coalesce(getvariable('period_from'), date '0001-01-10')
    {%- if days_before %} - {{ days_before }}{% endif %}
    and {{ rows }}.{{ date_column }} <= coalesce(getvariable('period_to'), date '9999-12-31')
{%- endmacro %}
