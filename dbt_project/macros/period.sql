{#-
    Condition that a row belongs to the member and days that are being built: the variables that the
    `parquet_by_month` materialization sets for each of its files. Without them every row does.
    `days_before` takes in that many earlier days, for windows that look back into them.
-#}
{% macro in_period(rows, date_column='registered_date', days_before=0) -%}
    {{ rows }}.{{ date_column }} >= coalesce(getvariable('period_from'), date '0001-01-10')
    {%- if days_before %} - {{ days_before }}{% endif %}
    and {{ rows }}.{{ date_column }} <= coalesce(getvariable('period_to'), date '9999-12-31')
    and {{ rows }}.member_iso2 = coalesce(getvariable('period_member'), {{ rows }}.member_iso2)
{%- endmacro %}
