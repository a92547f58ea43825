-- People are looked for by the beginning of their name, first name first or last name first (E9). Cut, as an
-- index takes no long texts; in one case of letters, whatever the database's own rules are.
create function person_name(one text, other text) returns text language sql immutable parallel safe as $$
    select left(lower(btrim(btrim(coalesce(one, '')) || ' ' || btrim(coalesce(other, ''))) collate "pg_c_utf8"), 100)
$$;
create index app_person_by_first_name on app_person (workspace_id,
    (person_name(document -> 'fields' ->> 'first_name', document -> 'fields' ->> 'last_name') collate "C"), person_id);
create index app_person_by_last_name on app_person (workspace_id,
    (person_name(document -> 'fields' ->> 'last_name', document -> 'fields' ->> 'first_name') collate "C"), person_id);
