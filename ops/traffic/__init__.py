"""Which function versions serve traffic: releases, rollbacks, bake periods and the release ledger."""
