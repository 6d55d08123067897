"""All tests. Every process that runs tests imports this package first."""

import gc

# Python would collect garbage thousands of times, among the many objects of boto3, moto and CDKTF
# that live until the end. Fewer collections save about a tenth of the CPU time.
gc.set_threshold(20_000, 20, 100)
