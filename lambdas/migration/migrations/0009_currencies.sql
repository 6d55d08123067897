-- Prices are compared within one currency.
CREATE INDEX listings_currency_price ON catalog.listings (price_currency, price_amount, listing_id)
    WHERE status = 'active';
CREATE INDEX listings_category_currency_price
    ON catalog.listings (category, price_currency, price_amount, listing_id) WHERE status = 'active';
