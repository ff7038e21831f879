"""Read models of the quantum hub."""

from sqlalchemy import BigInteger, Double, Index, Integer, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import TIMESTAMP, check, column, read_model

quantum_apps = read_model(
    "quantum_apps",
    "One row per app that runs on quantum devices",
    [column("id", Uuid, "The app")],
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "Who created it"),
    column("name", Text, "What people call it", required=True),
    column("description", Text, "What it does"),
    column("visibility", Text, "private, unlisted or public", required=True),
    column("version_count", BigInteger, "Versions published", required=True),
    column("latest_version", Text, "The version published last"),
    check("visibility_is_known", "visibility IN ('private', 'unlisted', 'public')"),
    Index("quantum_apps_name_idx", "tenant_id", "name"),
    Index("quantum_apps_project_idx", "tenant_id", "project_id"),
)

app_versions = read_model(
    "app_versions",
    "One row per published version of an app",
    [column("id", Uuid, "uuid5 of app and version")],
    column("app_id", Uuid, "Of which app", required=True),
    column("version", Text, "Its number", required=True),
    column("changelog", Text, "What is new"),
    column("artifact_key", Text, "Where its code is", required=True),
    column("user_id", Uuid, "Who published it"),
    column("published_at", TIMESTAMP, "From when on it could be run", required=True),
    column("yanked_at", TIMESTAMP, "From when on it must not be run"),
    column("yank_reason", Text, "Why it must not be run"),
    Index("app_versions_app_idx", "tenant_id", "app_id", "published_at"),
)

marketplace_listings = read_model(
    "marketplace_listings",
    "One row per app offered for sale",
    [column("id", Uuid, "The listing")],
    column("app_id", Uuid, "Of which app", required=True),
    column("user_id", Uuid, "Who offers it"),
    column("title", Text, "Under which title", required=True),
    column("description", Text, "What buyers read"),
    column("price_cents", BigInteger, "A month, in hundredths of the currency", required=True),
    column("currency", Text, "Three letters of ISO 4217", required=True),
    column("status", Text, "draft, published or withdrawn", required=True),
    check("listing_status_is_known", "status IN ('draft', 'published', 'withdrawn')"),
    check("price_is_not_negative", "price_cents >= 0"),
    Index("marketplace_listings_app_idx", "tenant_id", "app_id"),
    Index("marketplace_listings_status_idx", "tenant_id", "status"),
)

subscriptions = read_model(
    "subscriptions",
    "One row per subscription to a listing",
    [column("id", Uuid, "The subscription")],
    column("listing_id", Uuid, "To which listing", required=True),
    column("user_id", Uuid, "Who subscribes", required=True),
    column("plan", Text, "What was chosen", required=True),
    column("status", Text, "active, past_due or cancelled", required=True),
    column("period_start", TIMESTAMP, "When the current period began", required=True),
    column("period_end", TIMESTAMP, "When it ends", required=True),
    check("subscription_status_is_known", "status IN ('active', 'past_due', 'cancelled')"),
    Index("subscriptions_user_idx", "tenant_id", "user_id"),
    Index("subscriptions_listing_idx", "tenant_id", "listing_id", "status"),
    Index("subscriptions_period_idx", "tenant_id", "period_end"),
)

subscription_keys = read_model(
    "subscription_keys",
    "One row per key of a subscription; the key itself is nowhere",
    [column("id", Uuid, "The key's id, not the key")],
    column("subscription_id", Uuid, "Of which subscription", required=True),
    column("key_prefix", Text, "How the key begins, to tell keys apart", required=True),
    column(
        "key_hash",
        Text,
        "SHA-256 of the key, as sha256: and hexadecimal",
        required=True,
        secret=True,
    ),
    column("issued_at", TIMESTAMP, "When it was shown, once", required=True),
    column("revoked_at", TIMESTAMP, "From when on it opens nothing"),
    Index("subscription_keys_subscription_idx", "tenant_id", "subscription_id"),
    Index("subscription_keys_hash_idx", "tenant_id", "key_hash"),
)

platforms = read_model(
    "platforms",
    "One row per provider's platform of quantum devices",
    [column("id", Uuid, "The platform")],
    column("name", Text, "What it is called", required=True),
    column("provider", Text, "Whose it is", required=True),
    column("api_url", Text, "Where it is asked"),
    Index("platforms_name_idx", "tenant_id", "name"),
)

devices = read_model(
    "devices",
    "One row per quantum device",
    [column("id", Uuid, "The device")],
    column("platform_id", Uuid, "Of which platform", required=True),
    column("name", Text, "What it is called", required=True),
    column("qubits", Integer, "How many qubits it has", required=True),
    column("status", Text, "online, offline or maintenance", required=True),
    column("status_reason", Text, "Why it is so"),
    column("properties", JSONB, "Topology, error rates, … as the platform tells them"),
    check("device_status_is_known", "status IN ('online', 'offline', 'maintenance')"),
    check("device_has_qubits", "qubits > 0"),
    Index("devices_platform_idx", "tenant_id", "platform_id"),
    Index("devices_status_idx", "tenant_id", "status"),
)

jobs = read_model(
    "jobs",
    "One row per run of an app's version on a device",
    [column("id", Uuid, "The job")],
    column("app_version_id", Uuid, "Which version of which app", required=True),
    column("device_id", Uuid, "On which device", required=True),
    column("user_id", Uuid, "Who queued it"),
    column("status", Text, "queued, running, completed, failed or cancelled", required=True),
    column("shots", BigInteger, "How often it is measured", required=True),
    column("parameters", JSONB, "What the app is given", required=True),
    column("queued_at", TIMESTAMP, "When it was queued", required=True),
    column("started_at", TIMESTAMP, "When the device began"),
    column("finished_at", TIMESTAMP, "When it ended, well or badly"),
    column("error_message", Text, "Why it failed"),
    check(
        "job_status_is_known",
        "status IN ('queued', 'running', 'completed', 'failed', 'cancelled')",
    ),
    check("shots_are_positive", "shots > 0"),
    Index("jobs_version_idx", "tenant_id", "app_version_id"),
    Index("jobs_device_idx", "tenant_id", "device_id", "status"),
    Index("jobs_user_idx", "tenant_id", "user_id", "queued_at"),
    Index("jobs_status_idx", "tenant_id", "status", "queued_at"),
)

job_results = read_model(
    "job_results",
    "One row per completed job",
    [column("job_id", Uuid, "The job")],
    column("counts", JSONB, "How often each bit string was measured", required=True),
    column("fidelity", Double, "Fidelity, from 0 to 1"),
    column("execution_time_seconds", Double, "Time on the device in s", required=True),
    column("result_key", Text, "Where the whole result is"),
    check("fidelity_is_a_fraction", "fidelity BETWEEN 0 AND 1"),
    check("execution_time_is_not_negative", "execution_time_seconds >= 0"),
)
