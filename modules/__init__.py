"""The platform's infrastructure: one construct for each documented module, and the stack that wires them.

Importing this package makes the provider's bindings load lazily, so its modules import resources the ordinary way:
`from cdktf_cdktf_provider_aws.dynamodb_table import DynamodbTable`.
"""

from modules.provider import load_lazily

load_lazily()
