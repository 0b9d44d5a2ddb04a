"""The four steps, plan · scan · load · tail, and sync over them; each may be killed and rerun."""
