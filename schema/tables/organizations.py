"""Read models of organisations, their members, and what people bookmarked."""

from sqlalchemy import Index, Text, Uuid

from quantum_forge.schema.language.table import TIMESTAMP, check, column, read_model

organizations = read_model(
    "organizations",
    "One row per organisation",
    [column("id", Uuid, "The organisation")],
    column("name", Text, "What it is called", required=True),
    Index("organizations_name_idx", "tenant_id", "name"),
)

organization_members = read_model(
    "organization_members",
    "One row per person who is or was in an organisation",
    [
        column("organization_id", Uuid, "The organisation"),
        column("user_id", Uuid, "The member"),
    ],
    column("role", Text, "owner, admin or member", required=True),
    column("joined_at", TIMESTAMP, "When the member last joined", required=True),
    column("left_at", TIMESTAMP, "When the member left; null while there"),
    check("member_role_is_known", "role IN ('owner', 'admin', 'member')"),
    Index("organization_members_user_idx", "tenant_id", "user_id"),
)

bookmarks = read_model(
    "bookmarks",
    "One row per thing that a person marked to find it again",
    [column("id", Uuid, "uuid5 of tenant, person and thing")],
    column("user_id", Uuid, "Who marked it", required=True),
    column("entity_type", Text, "What kind of thing it is", required=True),
    column("entity_id", Uuid, "Which one", required=True),
    column("label", Text, "What the person calls it"),
    Index("bookmarks_user_idx", "tenant_id", "user_id", "created_at"),
)
