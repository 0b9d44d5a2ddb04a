"""DAGs that replicate tables: `factory` creates them, `assets` names the tables they write."""
