-- An empty twin of a rollup, in which a month is built anew.
CREATE TABLE $rebuild AS $rollup
