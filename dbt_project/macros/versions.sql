{#-
    Order of the rows of one key, the one that holds first: the highest version, then what the contract orders
    sendings by, then the order of arrival where it names nothing. With a sequence, arrival decides nothing.
-#}
{% macro latest_sending_first(version=none) -%}
    {%- if version %}{{ version }} desc, {% endif -%}
    sequence_no desc nulls last, if(sequence_no is null, extract_sequence, null) desc nulls last,
    extract_id desc, source_line desc
{%- endmacro %}

{#-
    Common table expressions over `accepted_rows`; the last one, `current_rows`, has one row per key: what was
    declared comes from its lowest version, the outcome columns and the version from the row that holds.
-#}
{% macro declared_beside_latest(key, version, outcome_columns) -%}
-- Few rows were sent more than once: only they pay for sorting.
repeated_keys as (
    select {{ key | join(', ') }}
    from accepted_rows
    group by all
    having count(*) > 1
),

sent_once as (
    select accepted_rows.*, 1 as sendings_n
    from accepted_rows
    anti join repeated_keys using ({{ key | join(', ') }})
),

sent_repeatedly as (
    select accepted_rows.*, count(*) over (partition by {{ key | join(', ') }}) as sendings_n
    from accepted_rows
    semi join repeated_keys using ({{ key | join(', ') }})
),

as_declared as (
    select *
    from sent_repeatedly
    qualify row_number() over (
        partition by {{ key | join(', ') }}
        order by {{ version }} asc, {{ latest_sending_first() }}
    ) = 1
),

latest as (
    select *
    from sent_repeatedly
    qualify row_number() over (
        partition by {{ key | join(', ') }}
        order by {{ latest_sending_first(version) }}
    ) = 1
),

current_rows as (
    select * from sent_once
    union all by name
    select
        as_declared.* replace (
            {%- for column in outcome_columns + [version, 'sequence_no', 'extract_id', 'source_file', 'source_line'] %}
            latest.{{ column }} as {{ column }}{{ "," if not loop.last }}
            {%- endfor %}
        )
    from as_declared
    inner join latest using ({{ key | join(', ') }})
)
{%- endmacro %}

{#- Columns of an item that its declaration's header has too: known only after an intervention, or before. -#}
{% macro header_outcome_columns() -%}
    {%- do return([
        'lane_at', 'assigned_at', 'released_at', 'cancelled_at', 'lane_initial_code', 'lane_final_code',
        'lane_source_code', 'queue_code', 'inspector_initial_id', 'inspector_final_id',
        'inspection_result_code', 'is_irregular', 'is_serious', 'label_at', 'label_source_code',
        'selection_probability'
    ]) -%}
{%- endmacro %}

{% macro header_columns() -%}
    {%- do return([
        'registered_at', 'registered_date', 'office_code', 'declaration_type_code', 'process_type_code',
        'procedure_code', 'payment_method_code', 'transport_mode_code', 'transport_document_ref',
        'container_ids', 'dispatch_iso2', 'importer_id', 'declarant_id', 'seller_id', 'courier_id',
        'is_authorised_operator', 'currency_code', 'value_basis_code', 'incoterm_code',
        'freight_currency_code', 'tax_currency_code'
    ] + header_outcome_columns()) -%}
{%- endmacro %}
