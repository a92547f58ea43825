-- Keys of the mirror, its change numbers, tombstones of associations, partitions of the big tables,
-- and purging in batches.

-- Change numbers. The number of a transaction is its id, beyond an origin. One row: the cluster whose
-- ids are counted; in another cluster (a restored dump) ids start low again, and the origin moves up.
create table mirror_origin (
    one boolean primary key default true check (one),
    cluster bigint not null,
    origin bigint not null
);
insert into mirror_origin (cluster, origin) select system_identifier, 0 from pg_control_system();

-- The number of what this transaction changes.
create function mirror_change() returns bigint language sql volatile parallel unsafe
    as 'select origin + pg_current_xact_id()::text::bigint from mirror_origin';

-- Below it nothing can appear any more: every transaction with a lower number has ended.
create function mirror_settled() returns bigint language sql stable parallel safe
    as 'select origin + pg_snapshot_xmin(pg_current_snapshot())::text::bigint from mirror_origin';

-- The big tables in 16 parts, by workspace. Rows move; programs of the release before go on with the
-- new tables, as all that is new has a default.
alter table hubspot_object rename to hubspot_object_whole;
alter table hubspot_object_whole rename constraint hubspot_object_pkey to hubspot_object_whole_pkey;
alter table hubspot_association rename to hubspot_association_whole;
alter table hubspot_association_whole rename constraint hubspot_association_pkey to hubspot_association_whole_pkey;
alter table hubspot_list_member rename to hubspot_list_member_whole;
alter table hubspot_list_member_whole rename constraint hubspot_list_member_pkey to hubspot_list_member_whole_pkey;

-- `content_hash` tells without comparing whether a read brought anything new.
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
    content_hash bytea,
    changed bigint not null default mirror_change(),
    primary key (workspace_id, portal_id, object_type, object_id)
) partition by hash (workspace_id);

-- What a record is found by: the e-mail addresses of a contact, the domains of a company, normalised.
create table hubspot_object_key (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    key text collate "C" not null,
    object_id bigint not null,
    primary key (workspace_id, portal_id, object_type, object_id, key)
) partition by hash (workspace_id);

-- An association that is gone stays as a tombstone: `read_at` is then of the read that did not find it.
create table hubspot_association (
    workspace_id uuid not null,
    portal_id bigint not null,
    from_type smallint not null,
    from_id bigint not null,
    to_type smallint not null,
    to_id bigint not null,
    labels text[] not null,
    read_at timestamptz not null,
    removed boolean not null default false,
    primary key (workspace_id, portal_id, from_type, from_id, to_type, to_id)
) partition by hash (workspace_id);

create table hubspot_list_member (
    workspace_id uuid not null,
    portal_id bigint not null,
    list_id bigint not null,
    object_id bigint not null,
    run_id uuid not null,
    seen_at timestamptz not null default now(),
    primary key (workspace_id, portal_id, list_id, object_id)
) partition by hash (workspace_id);

do $$
declare
    t text;
begin
    foreach t in array array['hubspot_object', 'hubspot_object_key', 'hubspot_association', 'hubspot_list_member'] loop
        for n in 0..15 loop
            execute format('create table %I partition of %I for values with (modulus 16, remainder %s)', t || '_' || n, t, n);
        end loop;
    end loop;
end $$;

insert into hubspot_object
    (workspace_id, portal_id, object_type, object_id, properties, created_at, modified_at, read_at, archived, changed)
select workspace_id, portal_id, object_type, object_id, properties, created_at, modified_at, read_at, archived, c.n
from hubspot_object_whole, (select mirror_change() as n) as c;
insert into hubspot_association (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
select workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at from hubspot_association_whole;
insert into hubspot_list_member (workspace_id, portal_id, list_id, object_id, run_id)
select workspace_id, portal_id, list_id, object_id, run_id from hubspot_list_member_whole;
-- As well as SQL can: the next read of each record normalises them by the product's rules.
insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
select distinct workspace_id, portal_id, object_type, btrim(lower(k)), object_id
from hubspot_object,
    unnest(case object_type
        when 1 then array[properties->>'email'] || string_to_array(properties->>'hs_additional_emails', ';')
        else array[properties->>'domain'] || string_to_array(properties->>'hs_additional_domains', ';')
    end) as t (k)
where object_type in (1, 2) and btrim(lower(k)) <> '' and length(k) <= 254;

drop table hubspot_object_whole;
drop table hubspot_association_whole;
drop table hubspot_list_member_whole;

-- Of expressions on purpose. A backfill begins with empty tables and without statistics, when every
-- index looks as good as the primary key; of plain columns these would be taken for its look-ups, at a
-- cost that grows with the table. So each serves those queries alone that name the expressions.
create index hubspot_object_by_change on hubspot_object
    (uuid_hash(workspace_id), (portal_id + 0), changed, (object_type + 0), (object_id + 0));
create index hubspot_object_key_by_key on hubspot_object_key (lower(key), uuid_hash(workspace_id));
create index hubspot_association_to on hubspot_association
    (uuid_hash(workspace_id), (portal_id + 0), (to_type + 0), (to_id + 0));
create index hubspot_list_member_by_object on hubspot_list_member
    (uuid_hash(workspace_id), (portal_id + 0), (object_id + 0));

-- `seen_at` is when a listing last brought the row, by this database's clock: what a whole listing did
-- not bring was seen before it began.
alter table hubspot_owner add column seen_at timestamptz not null default now();
alter table hubspot_list
    add column seen_at timestamptz not null default now(),
    -- Members, as HubSpot counts them.
    add column size bigint,
    -- When a whole reading of its members began.
    add column members_read_at timestamptz,
    -- When a whole listing no longer had it. Its members stay: somebody may be kept out because of them.
    add column gone_at timestamptz;

alter table quarantine
    -- When the request that brought it was sent: what is stored by a later one heals it.
    add column read_at timestamptz,
    add column changed bigint not null default mirror_change();
create index quarantine_by_change on quarantine (workspace_id, changed);

-- The app's id goes with an erased person, and a keyed hash of it takes its place; the request stays.
alter table export_request
    alter column person_id drop not null,
    add column person_hash bytea;
create index export_request_by_hash on export_request (workspace_id, person_hash) where person_hash is not null;

-- A workspace that is being purged. Nothing comes in any more; the row goes last, with its workspace.
create table workspace_purge (
    workspace_id uuid primary key references workspace (id),
    requested_at timestamptz not null,
    removed bigint not null default 0,
    changed_at timestamptz not null
);
