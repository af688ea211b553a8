{#-
    Keys that are missing or occur more than once. One scan for what `unique` and `not_null` take many for.
    `nullable` columns of the key may be missing. With `rebuilt_since`, a date column, only rows that the
    last build made anew are looked at.
-#}
{% test primary_key(model, columns, nullable=[], rebuilt_since=none) %}
    select
        tested.{{ columns | join(', tested.') }},
        count(*) as row_count
    from {{ model }} as tested
    {%- if rebuilt_since %}
    inner join {{ ref('int_rebuild_windows') }} as windows
        on tested.member_iso2 = windows.member_iso2 and tested.{{ rebuilt_since }} >= windows.from_date
    {%- endif %}
    group by tested.{{ columns | join(', tested.') }}
    having
        count(*) > 1
        {%- for column in columns if column not in nullable %}
        or tested.{{ column }} is null
        {%- endfor %}
{% endtest %}
