CREATE AGGREGATE merge_payloads(jsonb) (
    SFUNC = jsonb_concat,
    STYPE = jsonb,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE merge_payloads(jsonb) IS
    'The last value of each field of JSON objects in the order given; an absent field leaves a value
alone, a null replaces it. A lone object is passed through untouched';
