"""The steps plan, scan, load and tail, and sync over them; each may be killed and run again."""
