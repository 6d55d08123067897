"""Tests that CDK Terrain can replace CDKTF."""
