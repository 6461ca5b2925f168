DROP TABLE request_records;
DROP TABLE saga_log;
DROP TABLE sagas;
DROP TABLE order_addresses;
DROP TABLE orders;
DROP TABLE order_events;
