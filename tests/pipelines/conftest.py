"""Makes the helpers beside it importable from the rooms below: `corpus`, `made_rows`, `blobs`, …"""
