"""Draws architecture diagrams from the synthesized stack. Graphviz or Mermaid lays them out."""
