DROP TABLE leases;
DROP TABLE joins;
DROP TABLE parked_events;
DROP TABLE held_events;
DROP TABLE inbox;
DROP TABLE outbox;
DROP TABLE sequences;
