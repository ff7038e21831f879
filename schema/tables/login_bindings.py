"""Logins that are bound to one tenant, without a setting that only a superuser may make."""

from sqlalchemy import PrimaryKeyConstraint, Table, Text, Uuid

from quantum_forge.schema.language.table import METADATA, TIMESTAMP, column

login_bindings = Table(
    "login_bindings",
    METADATA,
    column("login", Text, "Name of the login", required=True),
    column(
        "tenant_id", Uuid, "The one tenant whose rows the login sees and appends", required=True
    ),
    column("bound_at", TIMESTAMP, "Time of the binding, by the database's clock", required=True),
    column("bound_by", Text, "Name of the login that bound it", required=True),
    PrimaryKeyConstraint("login"),
    comment="Logins that see and append the events of one tenant, whatever their session sets",
)
