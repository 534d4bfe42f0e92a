"""The report of a run: a folder with a page that opens in any browser, from a disk or from a server.

Beside ``index.html`` stand its scripts and its style, ``data/`` with the records in pieces, and ``thumbs/``. The page
is the same for all runs, and no text of a run is ever in its HTML. The pieces are scripts that pass JSON text to a
function, since browsers fetch nothing from ``file:``, and the page makes text nodes of it. Its policy (CSP) allows
nothing from elsewhere, and no HTML made by scripts.
"""

from tutuclient.batch.report.writing import write_report as write_report
