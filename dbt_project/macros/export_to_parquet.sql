{#-
    Write a mart table to its Parquet file, in the order of its primary key: the same rows then give the
    same bytes. DuckDB writes beside the file and renames, so a reader never meets half of one.
-#}
{% macro export_to_parquet() -%}
    {%- set location = env_var('TIDEWAITER_HOME') ~ '/marts/' ~ this.schema ~ '/' ~ this.identifier ~ '.parquet' -%}
    copy (select * from {{ this }} order by {{ config.get('meta')['primary_key'] | join(', ') }})
    to '{{ location | replace("'", "''") }}' (format parquet, compression zstd, preserve_order true)
{%- endmacro %}
