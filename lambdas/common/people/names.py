"""Names for those who act anonymously: anonymous users, and the aliases of registered ones."""

import secrets

ANIMALS = (
    "Badger", "Beaver", "Bison", "Camel", "Cheetah", "Cobra", "Crane", "Dolphin", "Eagle", "Falcon", "Fox", "Gazelle",
    "Gecko", "Heron", "Ibex", "Jaguar", "Koala", "Lemur", "Lynx", "Marten", "Moose", "Narwhal", "Ocelot", "Otter", "Owl",
    "Panda", "Puffin", "Quokka", "Raven", "Seal", "Tapir", "Turtle", "Viper", "Walrus", "Wombat", "Zebra",
)  # fmt: skip


def anonymous_name() -> str:
    """`Anonymous_Panda_789`: for telling people apart in a conversation, not unique."""
    return f"Anonymous_{secrets.choice(ANIMALS)}_{secrets.randbelow(900) + 100}"
