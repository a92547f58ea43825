-- Record links and profiles, and which properties a type was read with.

-- Part 1: people and companies of the app carry the number of their last change, as records of the
-- mirror do: whoever keeps something up to date with them reads on from where it was. Of an
-- expression, as the indexes of the mirror: it must not be taken for look-ups by id.
alter table app_company add column changed bigint not null default mirror_change();
create index app_company_by_change on app_company (uuid_hash(workspace_id), changed, company_id);

-- Part 2: record links. Which contact (1) a person is, and which HubSpot company (2) a company of the
-- app is. A person who was made from a contact and gave way to one of the app's own stays with
-- `adopted_by`.
create table record_link (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    app_id text collate "C" not null,
    object_id bigint not null,
    origin text not null,
    adopted_by text collate "C",
    linked_at timestamptz not null default now(),
    changed bigint not null default mirror_change(),
    primary key (workspace_id, portal_id, object_type, app_id)
);
create index record_link_to on record_link
    (uuid_hash(workspace_id), (portal_id + 0), (object_type + 0), (object_id + 0));
create index record_link_by_change on record_link
    (uuid_hash(workspace_id), (portal_id + 0), changed, (object_type + 0), app_id);

-- The app's people without those who were made from contacts, of which there may be a million.
create index app_person_own on app_person (workspace_id, person_id)
    where not (version = 0 and starts_with(person_id, 'hubspot.'));

-- What the profile of a person or company was last seen as: a hash, and the number of its last change.
-- The values themselves are put together when they are read.
create table profile (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    app_id text collate "C" not null,
    hash bytea not null,
    -- The person gave way to another one.
    gone boolean not null default false,
    changed bigint not null default mirror_change(),
    primary key (workspace_id, portal_id, object_type, app_id)
);
create index profile_by_change on profile
    (uuid_hash(workspace_id), (portal_id + 0), changed, (object_type + 0), app_id);

-- The domains of the app's companies, as they are compared.
create table app_company_key (
    workspace_id uuid not null,
    company_id text collate "C" not null,
    key text collate "C" not null,
    primary key (workspace_id, company_id, key)
);
create index app_company_key_by_key on app_company_key (uuid_hash(workspace_id), key);

-- How far links and profiles follow the mirror, the people and the companies. `basis` is a hash of
-- what all profiles depend on (settings, fields, definitions, owners, team), `basis_mark` tells cheaply
-- whether to look at it again. `rebuild` is the kind of record that all profiles are put together of
-- again, `rebuild_after` the last one that was.
create table profile_projection (
    workspace_id uuid not null,
    portal_id bigint not null,
    version bigint not null default 0,
    mirror_number bigint not null default 0,
    mirror_type smallint not null default 0,
    mirror_id bigint not null default 0,
    people_number bigint not null default 0,
    people_id text collate "C" not null default '',
    companies_number bigint not null default 0,
    companies_id text collate "C" not null default '',
    basis bytea,
    basis_mark text,
    rebuild smallint,
    rebuild_after text collate "C" not null default '',
    primary key (workspace_id, portal_id)
);

-- Part 3: which properties beside those that are always read a reading asks for, and which the last
-- whole reading of a type asked for; null: from before this was noted.
alter table sync_cursor add column properties text[];
alter table last_read add column properties text[];
alter table sync_run
    drop constraint sync_run_kind_check,
    add constraint sync_run_kind_check check (kind in ('initial', 'resync', 'members', 'mapping'));

-- Whether what all profiles depend on may have changed: told by what is cheap to look at.
create function profile_mark(w uuid, p bigint) returns text language sql stable as $$
    select concat_ws(' ',
        (select max(version) from settings_version where workspace_id = w),
        (select concat(count(*), '/', max(changed_at)) from custom_field where workspace_id = w),
        (select concat(count(*), '/', max(changed_at)) from app_member where workspace_id = w),
        (select concat(count(*), '/', max(read_at)) from hubspot_property
         where workspace_id = w and portal_id = p and object_type in (1, 2)),
        (select concat(count(*), '/', max(read_at)) from hubspot_owner
         where workspace_id = w and portal_id = p))
$$;

-- Whether the contacts were read once, so that links are not made of half of them.
create function contacts_were_read(w uuid, p bigint) returns boolean language sql stable as $$
    select exists (select 1 from last_read
            where workspace_id = w and portal_id = p and sync_type = 'contacts')
        or exists (select 1 from sync_cursor
            where workspace_id = w and portal_id = p and sync_type = 'contacts' and purpose = 'run'
              and outcome <> 'reading')
$$;
