-- A fresh table has no statistics; without them one nested loop over a day takes a minute.
SET LOCAL enable_nestloop = off
