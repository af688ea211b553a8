-- Filled by the materialization of the mart while its rows are in memory, see `feature_sample.sql`.
select
    member_iso2,
    month,
    feature,
    items_n,
    coalesce(known_values, []) as known_values
from {{ samples_of(ref('declaration_item_features')) }}
