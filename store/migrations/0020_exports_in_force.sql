-- Since when the export policy acts, and what the summary of exports is read by (E1, X10).

-- Since when `export.policy` has the value of this version. Null: saved by a program that did not note
-- it; `saved_at` then.
alter table settings_version add column policy_since timestamptz;
with policies as (
  select workspace_id, version, saved_at, document -> 'export' ->> 'policy' as policy,
    lag(document -> 'export' ->> 'policy') over (partition by workspace_id order by version) as before
  from settings_version),
spans as (
  select workspace_id, version, saved_at,
    count(*) filter (where policy is distinct from before) over (partition by workspace_id order by version) as span
  from policies),
since as (
  select workspace_id, version, min(saved_at) over (partition by workspace_id, span) as at from spans)
update settings_version v set policy_since = since.at
from since where since.workspace_id = v.workspace_id and since.version = v.version;

-- When a portal was first connected to a workspace.
create table connected_portal (
    workspace_id uuid not null,
    portal_id bigint not null,
    first_at timestamptz not null,
    primary key (workspace_id, portal_id)
);
alter table connected_portal alter column workspace_id set statistics 0;
alter table connected_portal alter column portal_id set statistics 0;
insert into connected_portal (workspace_id, portal_id, first_at)
select workspace_id, portal_id, connected_at from connection;

-- Requests that have not ended well, to count and to find again; and which of them waits longest.
create index export_request_by_state on export_request (workspace_id, state, reason, changed_at)
    where state <> 'exported';
create index export_request_oldest on export_request (workspace_id, requested_at) where due_at is not null;

-- Whom a policy may take.
create index app_person_contacted on app_person (workspace_id, person_id)
    where document ->> 'contacted_at' is not null or document ->> 'replied_at' is not null
        or document ->> 'replied_positively_at' is not null;
create index app_person_replied on app_person (workspace_id, person_id)
    where document ->> 'replied_at' is not null or document ->> 'replied_positively_at' is not null;
