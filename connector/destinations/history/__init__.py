"""What is kept beside a replicated table: every version of its items, and every change."""
