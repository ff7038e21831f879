"""How accounts, profiles and preferences follow from the log."""

from quantum_forge.schema.events.users import (
    UserDeactivated,
    UserLoggedIn,
    UserPasswordChanged,
    UserPreferencesChanged,
    UserProfileUpdated,
    UserReactivated,
    UserRegistered,
    UserRoleChanged,
    UserTierChanged,
    UserTwoFactorDisabled,
    UserTwoFactorEnabled,
    UserUpdated,
)
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import entity_id, occurred_at
from quantum_forge.schema.tables import users as tables

users = Projection(
    tables.users,
    events=[
        UserRegistered,
        UserUpdated,
        UserPasswordChanged,
        UserRoleChanged,
        UserTierChanged,
        UserDeactivated,
        UserReactivated,
        UserTwoFactorEnabled,
        UserTwoFactorDisabled,
        UserLoggedIn,
    ],
    key={"id": entity_id},
    opens=[UserRegistered],
    columns={
        "is_active": constant(
            {UserRegistered: True, UserReactivated: True, UserDeactivated: False}
        ),
        "two_factor_enabled": constant(
            {UserRegistered: False, UserTwoFactorEnabled: True, UserTwoFactorDisabled: False}
        ),
        "last_login_at": last(occurred_at(UserLoggedIn)),
    },
)

user_profiles = Projection(
    tables.user_profiles, events=[UserProfileUpdated], key={"user_id": entity_id}
)

user_preferences = Projection(
    tables.user_preferences, events=[UserPreferencesChanged], key={"user_id": entity_id}
)

PROJECTIONS = [users, user_profiles, user_preferences]
