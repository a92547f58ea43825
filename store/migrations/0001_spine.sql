-- Workspaces, connections, runs and their cursors, the mirror of HubSpot, quarantine.

create table workspace (
    id uuid primary key,
    created_at timestamptz not null
);

-- One per workspace. `epoch` goes up with every connect and every fence: what carries an older one
-- is refused.
create table connection (
    workspace_id uuid primary key references workspace (id),
    portal_id bigint not null,
    state text not null check (state in ('connected', 'needs_reconnect', 'disconnecting', 'disconnected')),
    epoch bigint not null,
    auth_kind text not null check (auth_kind in ('oauth', 'static')),
    scopes text[] not null,
    connected_by uuid not null,
    connected_at timestamptz not null,
    changed_at timestamptz not null
);
create index connection_by_state on connection (state) where state in ('connected', 'disconnecting');

-- Apart from the connection, so that a refresh that holds this row never holds up the fence.
create table connection_token (
    workspace_id uuid primary key references connection (workspace_id),
    version bigint not null,
    access_token bytea not null,
    refresh_token bytea,
    expires_at timestamptz
);

create table oauth_state (
    nonce_hash bytea primary key,
    workspace_id uuid not null references workspace (id),
    admin_id uuid not null,
    browser_hash bytea not null,
    expires_at timestamptz not null,
    used_at timestamptz
);

create table sync_run (
    id uuid primary key,
    workspace_id uuid not null references workspace (id),
    portal_id bigint not null,
    kind text not null check (kind in ('initial', 'resync')),
    mode text not null check (mode in ('catch_up', 'since', 'from_scratch')),
    since timestamptz,
    types text[] not null,
    state text not null check (state in ('queued', 'running', 'paused', 'finished', 'cancelled')),
    requested_at timestamptz not null,
    begun_at timestamptz,
    finished_at timestamptz
);
create unique index sync_run_one_running on sync_run (workspace_id) where state = 'running';
create index sync_run_by_workspace on sync_run (workspace_id, requested_at desc);
create index sync_run_unfinished on sync_run (state) where state in ('queued', 'running', 'paused');

-- One reader of one run. `version` is what a page compares and sets.
create table sync_cursor (
    run_id uuid not null references sync_run (id) on delete cascade,
    sync_type text not null,
    since timestamptz,
    position text,
    version bigint not null default 0,
    done bigint not null default 0,
    quarantined bigint not null default 0,
    total bigint,
    began_at timestamptz not null,
    read_began_at timestamptz not null,
    last_commit_at timestamptz,
    finished boolean not null default false,
    skipped boolean not null default false,
    primary key (run_id, sync_type)
) with (fillfactor = 50);

-- When the last finished read of a type had begun, by HubSpot's clock.
create table last_read (
    workspace_id uuid not null references workspace (id),
    portal_id bigint not null,
    sync_type text not null,
    read_began_at timestamptz not null,
    primary key (workspace_id, portal_id, sync_type)
);

create table hubspot_object (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    properties jsonb not null,
    created_at timestamptz,
    modified_at timestamptz not null,
    read_at timestamptz not null,
    archived boolean not null default false,
    primary key (workspace_id, portal_id, object_type, object_id)
);

create table hubspot_association (
    workspace_id uuid not null,
    portal_id bigint not null,
    from_type smallint not null,
    from_id bigint not null,
    to_type smallint not null,
    to_id bigint not null,
    labels text[] not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, from_type, from_id, to_type, to_id)
);

create table hubspot_owner (
    workspace_id uuid not null,
    portal_id bigint not null,
    owner_id bigint not null,
    user_id bigint,
    email text,
    first_name text,
    last_name text,
    archived boolean not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, owner_id)
);

create table hubspot_property (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    name text not null,
    definition jsonb not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, object_type, name)
);

create table hubspot_pipeline (
    workspace_id uuid not null,
    portal_id bigint not null,
    pipeline_id text not null,
    definition jsonb not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, pipeline_id)
);

create table hubspot_list (
    workspace_id uuid not null,
    portal_id bigint not null,
    list_id bigint not null,
    name text not null,
    object_type_id text not null,
    processing_type text not null,
    processing_status text not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, list_id)
);

-- `run_id` is the run that saw the member last; those that a full read did not see are removed.
create table hubspot_list_member (
    workspace_id uuid not null,
    portal_id bigint not null,
    list_id bigint not null,
    object_id bigint not null,
    run_id uuid not null,
    primary key (workspace_id, portal_id, list_id, object_id)
);

-- `raw` is what came over the wire, byte for byte: it may hold what text columns cannot.
create table quarantine (
    workspace_id uuid not null,
    portal_id bigint not null,
    sync_type text not null,
    record_key text not null,
    reason text not null,
    raw bytea not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    primary key (workspace_id, portal_id, sync_type, record_key)
);
