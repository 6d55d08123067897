"""What an environment costs a month: from its synthesized stack or a plan, a usage file, and one dated table of prices."""
