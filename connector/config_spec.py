"""How a table is to be kept, of all that its section says."""

from connector.config import Table
from connector.core.spec import Deletes, TableSpec


def configured(table: Table) -> TableSpec:
    """What the table's rows are to be made with."""
    return TableSpec(table.layout, table.max_columns, Deletes(table.deletes))
