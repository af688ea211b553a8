{#- Taxes by value: in dollars where taxes have a currency of their own, else as declared, exchange rate or not. -#}
{% macro tax_ratio(tax, value) -%}
    case
        when tax_currency_code is null then {{ tax }} / nullif(cast({{ value }} as double), 0)
        when {{ tax }} is not null then {{ tax }}_usd / nullif({{ value }}_usd, 0)
    end
{%- endmacro %}
