-- Who may do what. Runs as the master user; every later migration runs as the role `migration` that is made here.
-- Roles belong to the whole server, so that a copy of the database beside it finds them made already.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['migration', 'catalog', 'health'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
    END LOOP;
END
$$;

-- Owns the schema, and nobody logs in as it.
ALTER ROLE migration NOLOGIN;
GRANT migration TO CURRENT_USER;

-- Services log in by IAM authentication where the server has it (RDS and Aurora). One connection per execution environment.
ALTER ROLE catalog LOGIN;
ALTER ROLE health LOGIN;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO catalog, health;
    END IF;
END
$$;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO catalog, health', current_database());
END
$$;

-- Storage is solid state, here and in Aurora: a page anywhere costs about what the next page costs.
ALTER ROLE catalog SET random_page_cost = 1.1;

CREATE SCHEMA catalog AUTHORIZATION migration;
GRANT USAGE ON SCHEMA catalog TO catalog;
