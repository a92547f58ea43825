-- The app's side: people, companies, team, settings, tokens, requests, erasure.

-- Ids are the app's own, sorted by bytes, so that a cursor means the same everywhere. `version` is
-- the app's; `revision` counts the writes of the row: what a writer compares and sets. `document` is
-- the whole record (json, not jsonb, which would write numbers anew), `slots` the versions of parts
-- that have another than the record; the other columns repeat what is searched for. No reference to
-- the workspace: it would cost a lookup per row.
create table app_person (
    workspace_id uuid not null,
    person_id text collate "C" not null,
    version bigint not null,
    revision bigint not null,
    email text,
    company_id text collate "C",
    member_id text collate "C",
    lead_status text,
    document json not null,
    slots json not null,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    primary key (workspace_id, person_id)
);
create index app_person_by_email on app_person (workspace_id, email) where email is not null;
create index app_person_by_company on app_person (workspace_id, company_id) where company_id is not null;

create table app_company (
    workspace_id uuid not null,
    company_id text collate "C" not null,
    version bigint not null,
    revision bigint not null,
    document json not null,
    slots json not null,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    primary key (workspace_id, company_id)
);

create table app_member (
    workspace_id uuid not null,
    member_id text collate "C" not null,
    version bigint not null,
    revision bigint not null,
    email text,
    document json not null,
    slots json not null,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    primary key (workspace_id, member_id)
);

create table custom_field (
    workspace_id uuid not null,
    record_kind text not null,
    field_key text collate "C" not null,
    definition jsonb not null,
    changed_at timestamptz not null,
    primary key (workspace_id, record_kind, field_key)
);

-- Every version that was ever saved; the greatest is in force. Of two writers of one version the
-- primary key lets one through.
create table settings_version (
    workspace_id uuid not null,
    version bigint not null,
    document jsonb not null,
    saved_at timestamptz not null,
    primary key (workspace_id, version)
);

create table service_token (
    id uuid primary key,
    workspace_id uuid not null,
    name text not null,
    token_hash bytea not null unique,
    created_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index service_token_by_workspace on service_token (workspace_id, created_at);

-- An answer that is still to come has no status.
create table idempotency_key (
    workspace_id uuid not null,
    idempotency_key text not null,
    request_hash bytea not null,
    status smallint,
    content_type text,
    answer bytea,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (workspace_id, idempotency_key)
);
create index idempotency_key_by_expiry on idempotency_key (expires_at);

-- A request is a row first. What can go on has a time at which it is due.
create table export_request (
    id uuid primary key,
    workspace_id uuid not null,
    person_id text collate "C" not null,
    kind text not null,
    include_earlier boolean not null,
    state text not null,
    reason text,
    hubspot_id bigint,
    due_at timestamptz,
    requested_at timestamptz not null,
    changed_at timestamptz not null
);
create index export_request_by_workspace on export_request (workspace_id, id);
create index export_request_by_person on export_request (workspace_id, person_id);
create index export_request_due on export_request (due_at) where due_at is not null;

-- What is left of an erased person: keyed hashes of the e-mail addresses, the app's id and the
-- contact's id, so that none of them comes in again.
create table erased_identity (
    workspace_id uuid not null,
    identity_hash bytea not null,
    erased_at timestamptz not null,
    primary key (workspace_id, identity_hash)
);
