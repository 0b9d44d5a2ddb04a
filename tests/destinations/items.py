"""Items, values and names that the stories of every destination are about."""

from connector.core.names import SERVICE

A = {"id": {"S": "a"}, "n": {"N": "1"}}
A2 = {"id": {"S": "a"}, "n": {"N": "2"}}
B = {"id": {"S": "b"}, "n": {"N": "3"}}
C = {"id": {"S": "c"}, "n": {"N": "4"}}
SECRET = "a-secret-value"

VALUES = {
    "S": {"S": 'text "quoted" \u0000 \u001f / é \U0001f600'},
    "empty S": {"S": ""},
    "integer": {"N": "-42"},
    "int64": {"N": "9223372036854775807"},
    "beyond int64": {"N": "9223372036854775808"},
    "decimal": {"N": "12.50"},
    "hundred": {"N": "100"},
    "zero": {"N": "-0.00"},
    "38 digits": {"N": "-1234567890123456789012345678901234567.8"},
    "tiny": {"N": "1E-130"},
    "huge": {"N": "9.99E+125"},
    "BOOL": {"BOOL": False},
    "B": {"B": "AAEC/w=="},
    "M": {"M": {"a": {"N": "1.50"}, "b": {"L": [{"NULL": True}, {"B": "/w=="}]}}},
    "empty M": {"M": {}},
    "L": {"L": [{"N": "1E-130"}, {"S": "x"}]},
    "SS": {"SS": ["b", "a"]},
    "NS": {"NS": ["10", "9.0"]},
    "BS": {"BS": ["/w==", "AA=="]},
    "NULL": {"NULL": True},
}

NAMES = [
    "a",
    "A",
    "é",
    "É",
    "a.b c\"d'e;--",
    "100% %s $1 ? {x}",
    "rowid",
    "select",
    "ctid",
    "nul\u0000name",
    "c0",
    "deleted",
    "changed_at",
    "rest",
    "item.x",
    "t",
    "s",
    "d",
    "n",
    "o",
    "_connector_staged",
    "_connector_outer",
    " ",
    "*",
    *SERVICE,
    "x" * 65_535,
]
