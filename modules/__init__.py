"""The platform's infrastructure: one CDKTF construct per module, and the stack.

docs/architecture/modules.md lists the modules. Importing this package makes the bindings of
the AWS provider load lazily. The modules can therefore import the bindings normally.
"""

from modules.provider import load_lazily

load_lazily()
