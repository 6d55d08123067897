-- Sellers read the messages to them, and buyers read ratings.

GRANT SELECT ON catalog.inquiries TO catalog;
CREATE INDEX inquiries_newest ON catalog.inquiries (listing_id, created_at, inquiry_id);
CREATE INDEX ratings_newest ON catalog.ratings (listing_id, created_at, user_id);
