"""What is wrong with a model, said without loading JAX: the command line imports it to list the shipped models."""

from ensemble.errors import MaxwellError


class ModelError(MaxwellError):
    """A model or its settings cannot be used as given; the message says what is allowed."""
