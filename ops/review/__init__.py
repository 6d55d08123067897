"""What an operator looks at before saying yes to a plan: what changes, what breaks, what opens, what it costs."""
