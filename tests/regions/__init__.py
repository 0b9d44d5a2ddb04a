"""Global tables: failover to another Region, and what follows the table's Region."""
