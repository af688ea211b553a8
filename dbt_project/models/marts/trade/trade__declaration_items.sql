select
    items.* exclude (item_index, label_visible_after_date, cancelled_visible_after_date),  -- noqa: RF02
    valued.units_per_usd,
    valued.declared_value_usd,
    valued.cif_value_usd,
    valued.cif_value_status_code,
    valued.declared_tax_usd,
    valued.assessed_value_usd,
    valued.recovered_tax_usd
from {{ ref('int_declaration_items__current') }} as items
inner join {{ ref('int_declaration_items__valued') }} as valued using (item_index)
