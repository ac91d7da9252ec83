"""How settings and stores name a model; light, for those who only read stores."""

MAIN = "__main__:"
"""How the name of a function of the running script or notebook begins: no other process finds it."""
AS_OBJECT = "model_is_object"
"""The attribute of a store that says whether its model was given as an object, which its name alone does not build."""
SHIPPED = "model_is_shipped"
"""The attribute that says whether it is the shipped model of its name, and not a user's function of that name."""
