"""Queries of projects, organisations and their members; every query is bound to a tenant."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select

from quantum_forge.schema.domains.discovery import projects
from quantum_forge.schema.domains.organizations import organization_members, organizations
from quantum_forge.schema.domains.users import users


def select_projects(tenant_id: UUID, *, limit: int) -> Select[Any]:
    """The newest projects, with the name of the user who created each."""
    creator = and_(users.c.tenant_id == projects.c.tenant_id, users.c.id == projects.c.user_id)
    shown = [column for column in projects.c if column.name != "tenant_id"]
    return (
        select(*shown, users.c.username.label("created_by"))
        .select_from(projects.outerjoin(users, creator))
        .where(projects.c.tenant_id == tenant_id)
        .order_by(projects.c.created_at.desc(), projects.c.id)
        .limit(limit)
    )


def select_organizations(tenant_id: UUID, *, limit: int) -> Select[Any]:
    """The newest organisations, with the number of their present members."""
    members = (
        select(func.count())
        .where(
            organization_members.c.tenant_id == organizations.c.tenant_id,
            organization_members.c.organization_id == organizations.c.id,
            organization_members.c.left_at.is_(None),
        )
        .scalar_subquery()
    )
    shown = [column for column in organizations.c if column.name != "tenant_id"]
    return (
        select(*shown, members.label("member_count"))
        .where(organizations.c.tenant_id == tenant_id)
        .order_by(organizations.c.created_at.desc(), organizations.c.id)
        .limit(limit)
    )


def select_members(tenant_id: UUID, organization_id: UUID) -> Select[Any]:
    """The present members of an organisation, in the order in which they joined."""
    members = organization_members.c
    account = and_(users.c.tenant_id == members.tenant_id, users.c.id == members.user_id)
    return (
        select(members.user_id, users.c.username, members.role, members.joined_at)
        .select_from(organization_members.outerjoin(users, account))
        .where(
            members.tenant_id == tenant_id,
            members.organization_id == organization_id,
            members.left_at.is_(None),
        )
        .order_by(members.joined_at, members.user_id)
    )
