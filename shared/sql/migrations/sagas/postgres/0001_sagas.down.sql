DROP TABLE saga_entries;
DROP TABLE sagas;
