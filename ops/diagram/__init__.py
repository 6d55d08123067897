"""The architecture, drawn from what synthesis writes: nothing is placed or connected by hand."""
