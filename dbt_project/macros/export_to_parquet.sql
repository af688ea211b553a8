{#-
    Write a mart table to its Parquet file, in the order of its primary key: the same rows then give the
    same bytes. Where the file stands already DuckDB writes beside it and renames.
-#}
{% macro export_to_parquet() -%}
    {%- set marts = env_var('TIDEWAITER_HOME') ~ '/marts' -%}
    {%- set location = marts ~ '/' ~ this.schema ~ '/' ~ this.identifier ~ '.parquet' -%}
    copy (select * from {{ this }} order by {{ config.get('meta')['primary_key'] | join(', ') }})
    to '{{ location | replace("'", "''") }}' {{ parquet_options() }}
{%- endmacro %}
