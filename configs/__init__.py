"""Ready settings of the models that come with the program: `maxwell run airway_small` finds them by name."""
