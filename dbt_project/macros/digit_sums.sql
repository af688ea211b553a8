{# Of values that have a first_digit and a log_value: values_n, digit_1_n to digit_9_n, repeated_values_n as the
   given expression counts them, and the sums of the logarithms and of their squares. #}
{% macro digit_sums(relation, repeated_values) -%}
    cast(count(*) as integer) as values_n,
    {%- for digit in range(1, 10) %}
    cast(count(*) filter (where {{ relation }}.first_digit = {{ digit }}) as integer) as digit_{{ digit }}_n,
    {%- endfor %}
    cast({{ repeated_values }} as integer) as repeated_values_n,
    sum({{ relation }}.log_value) as log_value_sum,
    sum(pow({{ relation }}.log_value, 2)) as log_value_squares_sum
{%- endmacro %}
