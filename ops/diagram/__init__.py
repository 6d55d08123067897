"""Draws architecture diagrams from the synthesized stack, as SVG or Mermaid."""
