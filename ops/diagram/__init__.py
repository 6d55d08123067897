"""Draws the architecture from the synthesized stack. No node or edge is placed by hand."""
