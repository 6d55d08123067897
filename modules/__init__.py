"""The platform's infrastructure: one CDKTF construct per documented module, and their stack.

Importing this package makes the provider's bindings load lazily, so its modules use normal imports:
"""

from modules.provider import load_lazily

load_lazily()
