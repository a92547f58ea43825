-- Record links and profiles, and which properties a type was read with.

-- Part 1: people and companies of the app carry the number of their last change, as records of the
-- mirror do: whoever keeps something up to date with them reads on from where it was. Of an
-- expression, as the indexes of the mirror: it must not be taken for look-ups by id.
alter table app_person add column changed bigint not null default mirror_change();
alter table app_company add column changed bigint not null default mirror_change();
create index app_person_by_change on app_person (uuid_hash(workspace_id), changed, person_id);
create index app_company_by_change on app_company (uuid_hash(workspace_id), changed, company_id);
