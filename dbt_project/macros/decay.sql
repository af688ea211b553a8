{#-
    Weight of something that happened on a day, growing with the day: doubled every 256 days, straight
    between. Sums of weights divided by the weight of a later day are what is left of them then: a half after
    256 days. Powers of two and 256ths add up in floating point without rounding, in whatever order, as long
    as the history spans less than fourteen years times sixteen million items; so a build in parts equals
    a build at once.
-#}
{% macro decay_weight(day) -%}
    (pow(2.0, ({{ day }} - date '1990-01-01') // 256) * (1.0 + (({{ day }} - date '1990-01-01') % 256) / 256.0))
{%- endmacro %}
