DROP TABLE request_records;
DROP TABLE saga_entries;
DROP TABLE sagas;
DROP TABLE order_addresses;
DROP TABLE orders;
DROP TABLE order_events;
