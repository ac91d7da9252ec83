"""`maxwell report STORE --serve`: a page that follows a run, served to this machine alone.

`overview` writes the light page on how far it is, `renewal` says when something has to be made anew, `rendering` makes
the whole report in a process of its own, `pages` has what can be read and done there, `server` speaks HTTP.
"""
