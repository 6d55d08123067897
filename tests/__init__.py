"""All tests. Every process that runs tests imports this package first."""

import gc

# boto3, moto and CDKTF create many objects that exist until the process ends. With Python's default
# thresholds, the garbage collector would scan them thousands of times. The thresholds below save
# about 10 % of the CPU time.
gc.set_threshold(20_000, 20, 100)
