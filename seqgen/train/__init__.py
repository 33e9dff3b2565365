"""Where learning happens: one loop for every task. Read `loop.py` first."""
