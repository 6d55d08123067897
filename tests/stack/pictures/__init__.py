"""Tests of pictures: the report of a review and the architecture diagrams."""
