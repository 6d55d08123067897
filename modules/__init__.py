"""The platform's infrastructure: one CDKTF construct per documented module, and the stack.

The modules are listed in docs/architecture/modules.md. Importing this package makes the bindings of
the AWS provider load lazily. The modules can therefore import them normally.
"""

from modules.provider import load_lazily

load_lazily()
