"""Listings, wishlists and ratings: `/v1/catalog`."""
