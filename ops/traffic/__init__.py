"""Traffic of function versions: releases, rollbacks, bake periods and the release ledger."""
