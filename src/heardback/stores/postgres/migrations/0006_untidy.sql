-- Where deleted rows that tell of somebody who was forgotten still stand in their pages, until VACUUM was there.
CREATE TABLE untidy (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    week   integer  -- of events; NULL for the tables of little
);
