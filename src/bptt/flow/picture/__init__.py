"""Pictures of what was measured: matplotlib's axes for scripts, a table with a drawing for notebooks."""
