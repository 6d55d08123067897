-- Full-text search that also finds stop words, accented, joined and unfinished words, and CJK text.
-- The column `words` replaces `search`, which the previous version of the function still reads.

-- Extensions need the right to create in the database, which only the master user has.
RESET ROLE;
CREATE SCHEMA extensions;
CREATE EXTENSION unaccent SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO migration, catalog;
SET LOCAL ROLE migration;

-- Chinese, Japanese and Korean characters, which are words without spaces between them.
-- Returns a value of the class in brackets of a regular expression.
CREATE FUNCTION catalog.cjk() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN U&'\2E80-\2FDF\3005-\3007\3021-\3029\3031-\3035\3038-\303B\3041-\30FF\3105-\312F\3131-\318E\31A0-\31BF\31F0-\31FF\3400-\4DBF\4E00-\9FFF\AC00-\D7A3\F900-\FAFF\+020000-\+03FFFF';

-- Text without case, accents and compatibility forms. unaccent() is only stable, because its
-- dictionary could be replaced. ASCII, which is most text, takes the short way here and below.
CREATE FUNCTION catalog.plain(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN octet_length(value) = char_length(value) THEN lower(value)
        ELSE lower(extensions.unaccent('extensions.unaccent', normalize(value, NFKC))) END;

-- The words of a text, separated by spaces: punctuation separates words, and each CJK character
-- is one word.
CREATE FUNCTION catalog.separate(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    value := catalog.plain(value);
    IF octet_length(value) = char_length(value) THEN
        RETURN regexp_replace(value, '[^a-z0-9]+', ' ', 'g');
    END IF;
    RETURN regexp_replace(
        regexp_replace(
            value,
            U&'[\0001-\002F\003A-\0040\005B-\0060\007B-\00A9\00AB-\00B4\00B6-\00B9\00BB-\00BF\2000-\206F\2190-\2BFF\3000-\3004\3008-\3020\3030\FE00-\FE0F\FE30-\FE6F\FFFC\+01F000-\+01FAFF]+',
            ' ', 'g'
        ),
        '([' || catalog.cjk() || '])', ' \1 ', 'g'
    );
END
$$;

-- All words of title and tags, and their English stems; only stems of the description, because
-- every description contains `the` and `it`.
CREATE FUNCTION catalog.words_of(title text, tags text[], description text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    title := catalog.separate(title);
    RETURN setweight(to_tsvector('pg_catalog.simple', title), 'A')
        || setweight(to_tsvector('pg_catalog.english', title), 'A')
        || setweight(to_tsvector('pg_catalog.simple', catalog.separate(catalog.words(tags))), 'B')
        || setweight(to_tsvector('pg_catalog.english', catalog.separate(catalog.words(tags))), 'B')
        || setweight(to_tsvector('pg_catalog.english', catalog.separate(description)), 'C');
END
$$;

-- The words of a search, for websearch_to_tsquery: keeps quotation marks, and a hyphen that
-- excludes a word. A run of CJK characters is a phrase.
CREATE FUNCTION catalog.searched(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    parts text[] := string_to_array(catalog.plain(value), '"');
    part text;
    found text;
    result text := '';
BEGIN
    FOR i IN 1 .. array_length(parts, 1) LOOP
        part := parts[i];
        -- A quotation mark without a second one is punctuation.
        IF i % 2 = 0 AND i < array_length(parts, 1) THEN
            result := result || '"' || catalog.separate(part) || '"';
            CONTINUE;
        END IF;
        FOREACH found IN ARRAY regexp_split_to_array(part, '\s+') LOOP
            result := result || ' ' || CASE WHEN found ~ '^-[^-]' OR found = '-' AND i < array_length(parts, 1)
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

-- Matches all words as they are, where each may be the beginning of a longer word, or all stems.
-- Two letters begin too many words.
CREATE FUNCTION catalog.search_query(value text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(
            websearch_to_tsquery('pg_catalog.simple', catalog.searched(value))::text,
            '''([^'' ]{3,})''', '''\1'':*', 'g'
        )::tsquery
        || websearch_to_tsquery('pg_catalog.english', catalog.searched(value));

-- For ranking: whole words only.
CREATE FUNCTION catalog.exact_query(value text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN websearch_to_tsquery('pg_catalog.simple', catalog.searched(value))
        || websearch_to_tsquery('pg_catalog.english', catalog.searched(value));

GRANT EXECUTE ON FUNCTION
    catalog.cjk, catalog.plain, catalog.separate, catalog.words_of, catalog.searched,
    catalog.search_query, catalog.exact_query
    TO catalog;

-- Nullable, so that the table is not rewritten. The next migrations fill it.
ALTER TABLE catalog.listings ADD COLUMN words tsvector;

CREATE FUNCTION catalog.set_words() RETURNS trigger
    LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    NEW.words := catalog.words_of(NEW.title, NEW.tags, NEW.description);
    RETURN NEW;
END
$$;
GRANT EXECUTE ON FUNCTION catalog.set_words TO catalog;

CREATE TRIGGER set_words BEFORE INSERT OR UPDATE OF title, tags, description ON catalog.listings
    FOR EACH ROW EXECUTE FUNCTION catalog.set_words();

CREATE INDEX listings_words ON catalog.listings USING gin (words) WITH (fastupdate = off)
    WHERE status = 'active';
