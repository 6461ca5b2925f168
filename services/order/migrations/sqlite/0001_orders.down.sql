DROP TABLE order_addresses;
DROP TABLE orders;
DROP TABLE order_events;
