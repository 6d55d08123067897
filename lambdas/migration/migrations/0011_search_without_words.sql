-- A search whose text becomes empty without accents, such as a single combining accent, finds
-- nothing instead of failing: array_length() of an empty array is null, cardinality() is 0.

CREATE OR REPLACE FUNCTION catalog.searched(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    parts text[] := string_to_array(catalog.plain(value), '"');
    part text;
    found text;
    result text := '';
BEGIN
    FOR i IN 1 .. cardinality(parts) LOOP
        part := parts[i];
        -- A quotation mark without a second one is punctuation.
        IF i % 2 = 0 AND i < cardinality(parts) THEN
            result := result || '"' || catalog.separate(part) || '"';
            CONTINUE;
        END IF;
        FOREACH found IN ARRAY regexp_split_to_array(part, '\s+') LOOP
            result := result || ' ' || CASE WHEN found ~ '^-[^-]' OR found = '-' AND i < cardinality(parts)
                THEN '-' ELSE '' END;
            found := catalog.separate(found);
            -- Several words of one, such as `node.js`, belong together.
            IF array_length(regexp_split_to_array(trim(found), ' +'), 1) > 1 THEN
                found := '"' || found || '"';
            END IF;
            result := result || ltrim(found);
        END LOOP;
    END LOOP;
    RETURN result;
END
$$;
