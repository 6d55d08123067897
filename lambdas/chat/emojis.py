"""The emoji that users can react with: the sequences that Unicode recommends (RGI, UTS #51)."""

from functools import cache

_SELECTOR = "\N{VARIATION SELECTOR-16}"


def canonical(text: str) -> str | None:
    """Returns the fully-qualified form of an emoji, or None if the text is not one emoji.

    The forms with and without U+FE0F, which requests a colored picture, are the same emoji.
    """
    forms = _forms()
    emoji = forms.get(text)
    if emoji is None and len(text) == 2 and text[1] == _SELECTOR:
        return forms.get(text[0])
    return emoji


@cache
def _forms() -> dict[str, str]:
    """Maps each form that Unicode's emoji-test.txt lists to the fully-qualified form."""
    from emoji import EMOJI_DATA, STATUS  # noqa: PLC0415 (reads 0.5 MB, which few requests need)

    complete = {
        text.replace(_SELECTOR, ""): text
        for text, entry in EMOJI_DATA.items()
        if entry["status"] in {STATUS["fully_qualified"], STATUS["component"]}
    }
    return {text: complete[text.replace(_SELECTOR, "")] for text in EMOJI_DATA}
