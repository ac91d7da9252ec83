"""How settings and stores name a model; light, for those who only read stores."""

MAIN = "__main__:"
"""How the name of a function of the running script or notebook begins: no other process finds it."""
AS_OBJECT = "model_is_object"
"""The attribute of a store that says whether its model was given as an object, which its name alone does not build."""
SHIPPED = "model_is_shipped"
"""The attribute that says whether it is the shipped model of its name, and not a user's function of that name."""
LONGEST = 200
"""Bytes of a name that is a folder's in a store: file systems take 255, on which a temporary name has to fit too."""


def half_a_character(text: str) -> str | None:
    """What is wrong with text that has half of a character (a lone surrogate), as file names of another encoding do:
    UTF-8, and so JSON and Zarr, do not know it. None for all other text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"has half a character, {text[error.start]!a}"
    return None


def unusable(name: str) -> str | None:
    """Why a variable, dimension or term cannot have this name, None where it can: stores hold names as UTF-8, and as
    names of folders. Slashes, which scopes of NumPyro have, are the store's to judge."""
    if why := half_a_character(name):
        return why
    if not name.strip():
        return "is empty"
    if not name.isprintable():
        return "has a control character"
    if "\\" in name:
        return "has a backslash, which Zarr takes for a slash"
    size = len(name.encode())
    return f"has {size} bytes; allowed are {LONGEST}" if size > LONGEST else None
