"""
The dashboard: pages that the server makes, of the ledger's named questions, for a browser that needs no script.

A page is a function from a `View` (the URL as data) to tables, charts and words; a template lays them out. No figure is
computed here that `reports` does not give. Nothing here is imported by applications.
"""
