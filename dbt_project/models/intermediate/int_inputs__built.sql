-- The inputs that the standing features are made of: written when they are complete, compared with by the
-- next build (where it is `int_inputs__before`).
-- depends_on: {{ ref('declaration_item_features') }}
-- depends_on: {{ ref('declaration_item_labels') }}, {{ ref('feature_drift') }}
select * from {{ ref('int_inputs') }}
