"""DAGs that keep tables equal: `factory` makes them, `assets` names what they write."""
