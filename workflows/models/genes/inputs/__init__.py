"""From files and pandas objects to counts, a sheet of samples and a design that fit each other, or all that is wrong.

`experiment` is the door: `files` reads, `matrix` lays counts out, `design` makes the formula's columns, `packaged` has
the data sets that come with the program.
"""
