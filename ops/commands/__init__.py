"""The verbs: each group reads its arguments, calls what does the work, and prints the answer."""
