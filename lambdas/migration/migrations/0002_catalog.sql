-- Categories, listings, ratings, wishlists, messages to sellers, and the events that tell of them.

CREATE TABLE catalog.categories (
    slug text PRIMARY KEY,
    name text NOT NULL,
    parent text REFERENCES catalog.categories,
    position smallint NOT NULL,
    -- Active listings of this very category; kept by the trigger below.
    listings integer NOT NULL DEFAULT 0 CHECK (listings >= 0)
);
GRANT SELECT ON catalog.categories TO catalog;

-- array_to_string is only stable, because of types whose text depends on settings; of text it is immutable.
CREATE FUNCTION catalog.words(tags text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_to_string(tags, ' ');
GRANT EXECUTE ON FUNCTION catalog.words TO catalog;

CREATE TABLE catalog.listings (
    listing_id uuid PRIMARY KEY,
    seller_id text NOT NULL,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description text NOT NULL CHECK (char_length(description) <= 5000),
    -- Minor units of the currency (ISO 4217): cents, yen, fils.
    price_amount bigint NOT NULL CHECK (price_amount >= 0),
    price_currency text NOT NULL CHECK (price_currency ~ '^[A-Z]{3}$'),
    category text NOT NULL CONSTRAINT listings_category_exists REFERENCES catalog.categories,
    tags text[] NOT NULL,
    -- Keys of the objects, where they are served.
    images text[] NOT NULL,
    condition text,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'reserved', 'sold', 'removed')),
    rating_sum bigint NOT NULL DEFAULT 0,
    rating_count integer NOT NULL DEFAULT 0 CHECK (rating_count >= 0),
    version integer NOT NULL DEFAULT 1,
    -- To the millisecond, as answers and cursors have them.
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    search tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A')
        || setweight(to_tsvector('english', catalog.words(tags)), 'B')
        || setweight(to_tsvector('english', description), 'C')
    ) STORED
) WITH (fillfactor = 90); -- room for a new rating beside the row it changes, so that no index has to follow
GRANT SELECT, INSERT, UPDATE ON catalog.listings TO catalog;

-- Lists show what can be bought. Each index serves its order in both directions.
CREATE INDEX listings_newest ON catalog.listings (created_at, listing_id) WHERE status = 'active';
CREATE INDEX listings_price ON catalog.listings (price_amount, listing_id) WHERE status = 'active';
CREATE INDEX listings_category_newest ON catalog.listings (category, created_at, listing_id) WHERE status = 'active';
CREATE INDEX listings_category_price ON catalog.listings (category, price_amount, listing_id) WHERE status = 'active';
CREATE INDEX listings_seller_newest ON catalog.listings (seller_id, created_at, listing_id) WHERE status <> 'removed';
-- Without a pending list, which every search would have to read through until it is merged.
CREATE INDEX listings_search ON catalog.listings USING gin (search) WITH (fastupdate = off) WHERE status = 'active';

CREATE FUNCTION catalog.count_listings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    before text;
    after text;
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status = 'active' THEN
        before := OLD.category;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'active' THEN
        after := NEW.category;
    END IF;
    IF before IS DISTINCT FROM after THEN
        -- One after the other in the order of their names, so that two listings that change places do not wait for each other.
        UPDATE catalog.categories SET listings = listings + 1 WHERE slug = after AND coalesce(after < before, true);
        UPDATE catalog.categories SET listings = listings - 1 WHERE slug = before;
        UPDATE catalog.categories SET listings = listings + 1 WHERE slug = after AND after > before;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION catalog.count_listings FROM PUBLIC;

CREATE TRIGGER count_listings AFTER INSERT OR DELETE OR UPDATE OF status, category ON catalog.listings
    FOR EACH ROW EXECUTE FUNCTION catalog.count_listings();

CREATE TABLE catalog.ratings (
    listing_id uuid NOT NULL REFERENCES catalog.listings,
    user_id text NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    comment text CHECK (char_length(comment) <= 1000),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT ratings_once PRIMARY KEY (listing_id, user_id)
);
-- SELECT for what INSERT ... RETURNING gives back.
GRANT SELECT, INSERT ON catalog.ratings TO catalog;

CREATE TABLE catalog.wishes (
    user_id text NOT NULL,
    listing_id uuid NOT NULL REFERENCES catalog.listings,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, listing_id)
);
CREATE INDEX wishes_newest ON catalog.wishes (user_id, created_at, listing_id);
GRANT SELECT, INSERT, DELETE ON catalog.wishes TO catalog;

-- What buyers write to sellers. The event that tells the seller does not carry the text.
CREATE TABLE catalog.inquiries (
    inquiry_id uuid PRIMARY KEY,
    listing_id uuid NOT NULL REFERENCES catalog.listings,
    sender_id text NOT NULL,
    message text NOT NULL CHECK (char_length(message) BETWEEN 1 AND 2000),
    created_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX inquiries_of_listing ON catalog.inquiries (listing_id, created_at);
GRANT INSERT ON catalog.inquiries TO catalog;

-- Events of transactions that are committed, until the bus has them.
CREATE TABLE catalog.outbox (
    event_id uuid PRIMARY KEY,
    type text NOT NULL,
    detail jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_oldest ON catalog.outbox (created_at);
-- UPDATE is what SELECT ... FOR UPDATE takes.
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.outbox TO catalog;
