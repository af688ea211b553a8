{#-
    Write a mart table to its Parquet file, in the order of its primary key: the same rows then give the
    same bytes. What is never published, and asked for its rows of a month alone, has an `export_order` of its
    own that is cheaper. Where the file stands already DuckDB writes beside it and renames.
-#}
{% macro export_to_parquet() -%}
    {%- set marts = env_var('TIDEWAITER_HOME') ~ '/marts' -%}
    {%- set location = marts ~ '/' ~ this.schema ~ '/' ~ this.identifier ~ '.parquet' -%}
    {%- set meta = config.get('meta') %}
    copy (select * from {{ this }} order by {{ (meta['export_order'] or meta['primary_key']) | join(', ') }})
    to '{{ location | replace("'", "''") }}' {{ parquet_options() }}
{%- endmacro %}
