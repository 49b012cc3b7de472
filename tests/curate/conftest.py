"""Makes the helpers beside it importable from the rooms below: `made_run`, `tiny_recipe`, …"""
