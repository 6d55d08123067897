"""Draws architecture diagrams from the synthesized stack. The layout is computed, not drawn."""
