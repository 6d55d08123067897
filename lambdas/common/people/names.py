"""Random names for anonymous users and for the aliases of registered users."""

import secrets

ANIMALS = (
    "Badger", "Beaver", "Bison", "Camel", "Cheetah", "Cobra", "Crane", "Dolphin", "Eagle",
    "Falcon", "Fox", "Gazelle", "Gecko", "Heron", "Ibex", "Jaguar", "Koala", "Lemur", "Lynx",
    "Marten", "Moose", "Narwhal", "Ocelot", "Otter", "Owl", "Panda", "Puffin", "Quokka",
    "Raven", "Seal", "Tapir", "Turtle", "Viper", "Walrus", "Wombat", "Zebra",
)  # fmt: skip


def anonymous_name(digits: int = 3) -> str:
    """Returns a random name such as `Anonymous_Panda_789`. It is not unique."""
    number = secrets.randbelow(10**digits - 10 ** (digits - 1)) + 10 ** (digits - 1)
    return f"Anonymous_{secrets.choice(ANIMALS)}_{number}"
