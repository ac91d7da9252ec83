"""`maxwell report STORE`: one self-contained HTML page for a run of any model, finished or still going.

`facts` reads the store; `changes`, `coordinates`, `pooling`, `shared`, `timeline` and `verdicts` compute; `drawing`,
`plots` and `pictures` draw; `markup`, `sections` and `page` write HTML; `write` puts it into a file.
"""
